from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.plan import Step, trials_left
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.time_left import TimeLeft
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial

from .runs import START, Run, Said, said

NewStudy = Callable[..., Study]
SPACE = [{"param": "vm.swappiness", "min": 0, "max": 100}, {"param": "vm.page-cluster", "min": 0, "max": 4}]
GUARDS = [{"name": name, "benchmark_command": "true", "metric": "mbit", "may_worsen": 5} for name in ("slow", "fast")]
PAIRS = {"verification": {"pairs": 16}}
LAST = 15.0  # seconds of three trials: at the end, the noise of a single one is a large part of what is left
LONG_TRAINING = {"training_config": {"total_timesteps": 80}, "verification": {"pairs": 8}}


def own_of(step: Step) -> float:
    """Guard benchmarks that take three times as long as the study's own, and a third."""
    return {"slow": 15.0, "fast": 1.5}.get(step.benchmark or "", 5.0)


def largest_error(found: list[Said], least: float) -> float:
    """Relative to the truth, or, near the end, to `least` seconds."""
    return max(each.error / max(each.true, least) for each in found)


def largest_jump(found: list[Said], least: float) -> float:
    """From one trial to the next, besides the time that has passed, relative to what was said before."""
    return max(
        abs(each.left - (before.left - (each.at - before.at))) / max(before.left, least)
        for before, each in pairwise(found)
    )


RUNS = {
    "one host": ({}, {}),
    "more noise": ({}, {"noise": 0.15}),
    "the learner on the host itself, after the initial design": (
        {},
        {"wait": lambda number: 5.0 if number > 8 else 0.02},
    ),
    "a learner that takes as long as the benchmark, and hardly a proof": (
        LONG_TRAINING,
        {"wait": lambda number: 5.0 if number > 3 else 0.02},
    ),
    "a learner that takes longer and longer": (LONG_TRAINING, {"wait": lambda number: 0.04 * number}),
    "PyTorch is loaded once": (
        LONG_TRAINING,
        {"wait": lambda number: 40.0 if number == 8 else 0.02},
    ),
    "guard benchmarks": ({"guard_benchmarks": GUARDS}, {"own": own_of}),
    "guard benchmarks on two hosts": ({"guard_benchmarks": GUARDS}, {"own": own_of, "hosts": {"h1": 1.0, "h2": 1.5}}),
    "two hosts": ({}, {"hosts": {"h1": 1.0, "h2": 1.0}}),
    "two hosts, one of them three times as fast": ({}, {"hosts": {"h1": 1.0, "h2": 3.0}}),
    "four hosts, one of them slow": ({}, {"hosts": {"h1": 5.0, "h2": 1.0, "h3": 1.0, "h4": 1.0}}),
    "ten hosts": ({}, {"hosts": {f"h{at}": 1 + at / 10 for at in range(10)}}),
    "benchmarks that hang until they are killed": ({}, {"slow": {20: 55.0, 70: 55.0}}),
    "a first trial that takes twice as long": ({}, {"slow": {1: 5.0}}),
}


@pytest.mark.parametrize(("fields", "run"), RUNS.values(), ids=RUNS)
def test_a_run_on_its_plan_knows_the_time_left_after_a_tenth_of_it(
    fields: dict[str, Any], run: dict[str, Any], new_study: NewStudy
) -> None:
    simulated = Run(new_study(**{"action_space": SPACE, **PAIRS, **fields}), **run)
    trials = simulated.trials()
    later = said(simulated, trials)[len(trials) // 10 :]
    least = LAST * max(simulated.hosts.values())
    assert later[-1].left == 0
    assert largest_error(later, least) < 0.25
    assert largest_jump(later, least) < 0.2


@pytest.mark.parametrize("replayed", [1, 4, 25, 80, 120])
def test_a_resumed_run_knows_it_at_once(replayed: int, new_study: NewStudy) -> None:
    """Neither the time between the runs counts, nor that in which the learner observes the earlier trials again."""
    run = Run(new_study(**PAIRS, action_space=SPACE), wait=lambda number: 2.0)
    trials = run.trials()
    later = [replace(each, finished=each.finished and each.finished + timedelta(days=1)) for each in trials[replayed:]]
    later[0] = replace(later[0], seconds={**later[0].seconds, "wait": 600.0, "connect": 1.0})
    found = said(run, [*trials[:replayed], *later], replayed)
    known = max(len(trials) // 10 - replayed, 0)
    assert largest_error(found[known:], LAST) < 0.25
    assert largest_jump(found, LAST) < 0.2


def test_a_pause_counts_for_all_trials_from_the_proof_on(new_study: NewStudy) -> None:
    run = Run(new_study(**PAIRS, action_space=SPACE, guard_benchmarks=GUARDS), own=own_of, pause=5.0)
    found = said(run, run.trials())
    proof = next(at for at, each in enumerate(found) if each.phase == Phase.VERIFY)
    assert largest_error(found[proof:], LAST) < 0.25
    assert largest_jump(found[proof:], LAST) < 0.2


def test_the_learner_counts_only_for_the_training(new_study: NewStudy) -> None:
    run = Run(new_study(**PAIRS, action_space=SPACE), wait=lambda number: 50.0, noise=0.0)
    found = said(run, run.trials())
    race = next(at for at, each in enumerate(found) if each.phase == Phase.RACE)
    assert found[race - 1].left == pytest.approx(found[race - 1].true)


def test_a_phase_that_is_not_needed_is_not_waited_for(new_study: NewStudy) -> None:
    run = Run(new_study(**PAIRS, action_space=SPACE), noise=0.0)
    trials = [trial for trial in run.trials() if trial.phase != Phase.ABLATE]
    *dummy, last = (each for each in said(run, trials) if each.phase == Phase.VERIFY)
    first = next(each for each in said(run, trials) if each.phase == Phase.RECOVERY)
    ablation = run.study.trials_by_phase(1)["ablate"]
    assert (last.left, first.left) == (pytest.approx(5.0 * (ablation + 2)), pytest.approx(5.0))


def test_a_guard_benchmark_that_nobody_has_tried_is_taken_to_be_like_the_study(new_study: NewStudy) -> None:
    study = new_study(guard_benchmarks=GUARDS)
    estimate = TimeLeft()
    estimate.join("h1", START, {"fast": 1.0})
    estimate.join("h2", START, {})
    assert estimate.seconds(["h1", "h2"], trials_left(study, (), ["h1", "h2"], ())) == 0, "no trial has ended"
    estimate.add(Trial(Phase.BASELINE, host="h1", seconds={"benchmark": 4.0}, finished=START + timedelta(seconds=4)))
    steps = {Step(Phase.CONTROL): 0, Step(Phase.TRAIN): 0, Step(Phase.GUARD, "slow"): 4, Step(Phase.GUARD, "fast"): 4}
    assert estimate.seconds(["h1", "h2"], steps) == 2 * 4.0 + 2 * 1.0
    assert estimate.seconds([], steps) == 0


def test_a_slow_host_counts_before_its_first_trial_has_ended(new_study: NewStudy) -> None:
    study = new_study()
    estimate = TimeLeft()
    for host in ("h1", "h2"):
        estimate.join(host, START, {})
    found = []
    trials: list[Trial] = []
    for at in (4.0, 8.0):
        finished = START + timedelta(seconds=at)
        trials.append(Trial(Phase.BASELINE, host="h1", seconds={"benchmark": 4.0}, finished=finished))
        estimate.add(trials[-1])
        found.append(estimate.seconds(["h1", "h2"], trials_left(study, trials, ["h1", "h2"], ())))
    assert found[1] > 1.3 * found[0]


def test_refused_and_hanging_candidates_do_not_tell_how_long_a_trial_takes(new_study: NewStudy) -> None:
    estimate = TimeLeft()
    estimate.join("h1", START, {})
    for at, (state, took) in enumerate(
        [(State.COMPLETE, 5.0)] * 3 + [(State.FAILED, 0.05)] * 10 + [(State.FAILED, 300.0)]
    ):
        finished = START + timedelta(seconds=at)
        estimate.add(Trial(Phase.TRAIN, state=state, host="h1", seconds={"benchmark": took}, finished=finished))
    steps = {Step(Phase.CONTROL): 0, Step(Phase.TRAIN): 0, Step(Phase.VERIFY): 20}
    assert estimate.seconds(["h1"], steps) == 20 * 5.0


def test_a_guard_benchmark_of_a_phase_that_is_measured_anew_is_still_to_come(new_study: NewStudy) -> None:
    study = new_study(guard_benchmarks=GUARDS)
    measured = Trial(Phase.GUARD, id=5, host="h1", benchmark="fast")
    left = trials_left(study, [measured], ["h1"], {Phase.BASELINE}, {5})
    assert left[Step(Phase.GUARD, "slow")] > 0
    assert trials_left(study, [measured], ["h1"], {Phase.BASELINE})[Step(Phase.GUARD, "slow")] == 0
