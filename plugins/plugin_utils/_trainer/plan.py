# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The trials that a run is expected to need yet, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from .._study.study import Study
from .._trial.trial import Phase, Trial


class Step(NamedTuple):
    """A phase, or, in the guard phase, the part of it that measures one guard benchmark."""

    phase: Phase
    benchmark: str | None = None


def step_of(trial: Trial) -> Step:
    return Step(trial.phase, trial.benchmark)


def trials_left(
    study: Study,
    trials: Sequence[Trial],
    present: Collection[str],
    finished: Collection[Phase],
    void: Collection[int | None] = (),
) -> dict[Step, int]:
    """The largest number of further trials in each step, in the order of a run; 0 in those that are over.

    trials: those that have ended. present: the hosts. finished: the phases that take no more trials. void: the ids of
    trials of an interrupted run whose phase is measured anew.
    """
    pause = _proof_pause(trials)
    counting = Counter(step_of(trial) for trial in trials if _counts(trial, present, void, pause))
    valid = [trial for trial in trials if trial.id not in void]
    over = _guards_that_are_over(study, valid) if finished else ()  # else the most that a run may need is asked for
    return {
        step: 0 if step.phase in finished or step.benchmark in over else max(limit - counting[step], 0)
        for step, limit in _limits(study, max(len(present), 1)).items()
    }


def _limits(study: Study, hosts: int) -> dict[Step, int]:
    found: dict[Step, int] = {}
    for phase, limit in study.trials_by_phase(hosts).items():
        if phase != Phase.GUARD:
            found[Step(Phase(phase))] = limit
            continue
        for guard in study.guard_benchmarks:
            found[Step(Phase.GUARD, guard.name)] = 2 * study.guard_rounds(guard, hosts) * hosts
    return found


def _counts(trial: Trial, present: Collection[str], void: Collection[int | None], pause: float) -> bool:
    """Whether the trial is one of those that its step needs."""
    if trial.phase == Phase.TRAIN:
        return True  # the remaining hosts take over the training of a lost host, but nothing else
    begun_anew = trial.phase == Phase.VERIFY and trial.pause < pause
    return trial.host in present and not begun_anew and trial.id not in void


def _proof_pause(trials: Sequence[Trial]) -> float:
    """The pause of the proof now, in seconds: with each longer one, it begins anew (see _proof/verification.py)."""
    return max((trial.pause for trial in trials if trial.phase == Phase.VERIFY), default=0.0)


def _guards_that_are_over(study: Study, trials: Sequence[Trial]) -> list[str]:
    """The guard benchmarks before the latest that was measured: they are tested one after the other."""
    latest = next((trial.benchmark for trial in reversed(trials) if trial.benchmark), None)
    names = [guard.name for guard in study.guard_benchmarks]
    return names[: names.index(latest)] if latest in names else []
