# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What every algorithm can be asked and told; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .._study.parameters import kernel_text
from .._study.space import Candidate
from .._trial.trial import Trial

# From what an algorithm would like to the candidate that is evaluated instead.
DrawIn = Callable[[Candidate], Candidate]


class Region(Protocol):
    """Where candidates may lie, given what evaluations have done (see caution.py)."""

    def draw_in(self, candidate: Candidate) -> Candidate: ...

    def learn(self, evaluation: Trial) -> None: ...


class Anywhere:
    """The whole search space."""

    def draw_in(self, candidate: Candidate) -> Candidate:
        return candidate

    def learn(self, evaluation: Trial) -> None:
        """There is nothing to learn."""


class Algorithm(Protocol):
    """ask() for a candidate, tell() what came of one; in any order, as many at once as there are hosts.

    What is asked for is drawn in first: ask() returns what will be evaluated, and of that alone tell() hears.
    The same seed and the same tells in the same order give the same candidates. pending: what was asked and not told.
    promise: by how much it expects the reward to grow with one more candidate.
    """

    pending: list[Candidate]
    promise: float | None

    def ask(self, draw_in: DrawIn) -> Candidate: ...

    def tell(self, evaluation: Trial) -> None: ...

    def hear(self, evaluation: Trial) -> None:
        """Of an evaluation that it did not ask for."""


class Evaluator(Protocol):
    """Evaluates while the learner thinks.

    slots: how many candidates it wants to have, at work or waiting for a host that becomes idle.
    submit() takes candidates and returns at once; collect() returns the evaluations that have ended since, in the order
    in which they ended, and blocks until there is one.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, candidates: Sequence[Candidate]) -> None: ...

    def collect(self) -> list[Trial]: ...


def slots_for(hosts: int) -> int:
    """How many candidates to have for so many hosts: some wait in a queue, so that no host waits for the learner."""
    return max(hosts, 1) + max(hosts // 4, 1)


def remove_like(evaluation: Trial, candidates: list[Candidate]) -> Candidate | None:
    """Take out and return the candidate that this was an evaluation of; the oldest if none has its values."""
    if not candidates:
        return None
    wanted = _key(evaluation.requested)
    at = next((at for at, candidate in enumerate(candidates) if _key(candidate) == wanted), 0)
    return candidates.pop(at)


def _key(candidate: object) -> object:
    return {name: kernel_text(value) for name, value in dict(candidate).items()}  # type: ignore[call-overload]
