# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The interfaces of an algorithm and of what evaluates its candidates; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .._study.parameters import kernel_texts
from .._study.space import Candidate, Point, SearchSpace, Value
from .._trial.trial import Trial

Project = Callable[[Candidate], Candidate]


@dataclass(frozen=True)
class Proposal:
    """A candidate, and in words who proposed it: an expert setting, an algorithm and its part, an earlier study."""

    candidate: Candidate
    by: str


class Region(Protocol):
    """The part of the search space in which candidates may lie (see trust_region.py)."""

    def project(self, candidate: Candidate) -> Candidate: ...

    def update(self, trial: Trial) -> None: ...


class WholeSpace:
    """The whole search space as a region."""

    def project(self, candidate: Candidate) -> Candidate:
        return candidate

    def update(self, trial: Trial) -> None: ...


class Algorithm(Protocol):
    """Proposes candidates and learns from trials, in any order.

    The same seed and the same calls in the same order give the same candidates.
    expected_gain: by how much the next candidate is expected to increase the best reward, None if that is unknown.
    proposed_by: in words, where the last candidate came from.
    """

    expected_gain: float | None
    proposed_by: str

    def ask(self, project: Project, pending: Sequence[Candidate]) -> Candidate:
        """The next candidate, projected into the region. pending: the candidates whose results are outstanding."""

    def observe(self, trial: Trial) -> None:
        """Learn from a trial, whether or not this algorithm asked for it."""


class Evaluator(Protocol):
    """Evaluates candidates while the learner works on the next ones.

    slots: how many candidates it can take at a time, running or queued. submit() returns at once. collect() blocks
    until at least one trial has ended and returns all that have ended since the last call, in order.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, proposals: Sequence[Proposal]) -> None: ...

    def collect(self) -> list[Trial]: ...


def slots_for(hosts: int) -> int:
    """Slots for this many hosts: a quarter more are queued, so that no host waits for the learner."""
    return max(hosts, 1) + max(hosts // 4, 1)


def point_of(space: SearchSpace, trial: Trial) -> Point:
    """Where the applied values lie, or the requested ones where nothing was read back; shape (space.size,)."""
    return space.encode({**trial.requested, **trial.applied})


def index_of(values: Mapping[str, Value], candidates: Sequence[Candidate]) -> int | None:
    """The index of the first candidate with these values."""
    wanted = kernel_texts(values)
    return next((at for at, candidate in enumerate(candidates) if kernel_texts(candidate) == wanted), None)
