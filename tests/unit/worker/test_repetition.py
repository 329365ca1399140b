from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.repetition import Repetition

pytestmark = pytest.mark.usefixtures("repetitions")

DONE = replace(Trial.pending(Phase.VERIFY, {"vm.swappiness": 80}), state=State.COMPLETE, metric=1.0)


def disturbed(steal: float, metric: float = 1.0) -> Trial:
    return replace(DONE, health={"steal": steal}, metric=metric, seconds={})


def ran(*runs: Trial, repetition: Repetition | None = None) -> tuple[Trial, list[str], int]:
    """The trial that counts, what was shown, and the runs that were not needed."""
    left, shown = list(runs), list[str]()
    trial = (repetition or Repetition()).undisturbed(lambda: left.pop(0), shown.append)
    return trial, shown, len(left)


def test_a_candidate_that_fails_when_it_is_run_again_has_failed() -> None:
    failed = disturbed(0.01).fail("guard limit exceeded: 1 OOM kill, limit 0 (guard.oom_kills)")
    trial, shown, dummy = ran(disturbed(0.3), failed)
    assert (trial.state, trial.error, len(shown)) == (State.FAILED, failed.error, 1)


def test_an_unknown_steal_is_not_the_least() -> None:
    assert ran(replace(DONE, seconds={}), disturbed(0.0))[2] == 1  # nothing says that it was disturbed
    trial, dummy, left = ran(disturbed(0.3, metric=1.0), replace(DONE, metric=2.0, seconds={}))
    assert (trial.metric, left) == (1.0, 0)


def test_it_says_when_it_gives_up() -> None:
    trial, shown, left = ran(disturbed(0.3), disturbed(0.2), disturbed(0.25), disturbed(0.0))
    assert (trial.health["steal"], left) == (0.2, 1)
    assert shown[-1] == (
        "other virtual machines took 25 % of the CPU time of this trial (steal): "
        "of its 3 runs, the least disturbed one counts"
    )


@pytest.mark.parametrize(("before", "repeats"), [(0.0, True), (0.06, False)])
def test_what_is_usual_are_the_latest_trials_that_were_measured(before: float, repeats: bool) -> None:
    repetition = Repetition()
    for dummy in range(40):
        ran(disturbed(0.0), repetition=repetition)
    for dummy in range(8):
        ran(*[disturbed(before)] * 3, repetition=repetition)
        ran(replace(DONE.fail("the values could not be applied"), seconds={}), repetition=repetition)
    assert bool(ran(disturbed(0.1), disturbed(0.0), repetition=repetition)[1]) == repeats
