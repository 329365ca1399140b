"""Planted troubles of a benchmark are found, and one without troubles is seldom accused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.fitness import (
    Decision,
    Fitness,
    Run,
    fitness,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

NewStudy = Callable[..., Study]
PROBES = ("expert setting one", "lowest values of the ranges", "highest values of the ranges")


def runs(
    seed: int = 1,
    noise: float = 0.01,
    first: float = 0.0,
    drift: float = 0.0,
    carry_over: float = 0.0,
    ramp: float = 0.0,
    gains: tuple[float, ...] = (0.0, 0.0, 0.0),
    latency_noise: float = 0.01,
    seconds: float = 5.0,
) -> list[Run]:
    """Eight runs of the host's own values, then each probe and another such run; all effects are log ratios."""
    random = np.random.default_rng(seed)
    names = [""] * 8 + [name for probe in PROBES for name in (probe, "")]
    effects = dict(zip(PROBES, gains, strict=True))
    found = []
    for at, name in enumerate(names):
        level = effects.get(name, 0.0) + drift * at + (first if at == 0 else 0.0)
        if not name and at and names[at - 1]:
            level += carry_over
        objective = random.normal(level, noise)
        shape = [ramp] * 2 + [0.0] * 6
        streamed = tuple(math.exp(objective + each + random.normal(0, noise)) for each in shape)
        latency = 5 * math.exp(random.normal(0, latency_noise))
        found.append(Run(name, objective, streamed, {"p99_ms": latency}, seconds))
    return found


def found_in(study: Study, **planted: float) -> Fitness:
    return fitness(study, runs(**planted))  # type: ignore[arg-type]


def test_a_steady_benchmark_is_fit_and_its_sensitivity_is_shown(new_study: NewStudy) -> None:
    result = fitness(new_study(verification={"min_improvement": 3}), runs(gains=(0.1, -0.5, 0.0)))
    assert (result.decision, result.advice) == (Decision.GO_ON, ())
    assert result.lines[0] == "a run takes 5.0 s (5.0 to 5.0); in all changes below, positive is better"
    assert result.lines[1].startswith("baseline noise between runs: ")
    assert result.lines[2].startswith("40 pairs on 1 host detect a gain of ")
    shown = {line.partition(":")[0]: line.partition(": ")[2] for line in result.lines[3:]}
    assert list(shown) == list(PROBES)
    assert float(shown[PROBES[0]].split()[0]) == pytest.approx(10.5, abs=3)
    assert float(shown[PROBES[1]].split()[0]) == pytest.approx(-39, abs=3)


@pytest.mark.parametrize(
    ("planted", "line", "advice"),
    [
        ({"first": -0.1}, "warm-up: the first run differed by -", "set warm_up to the seconds"),
        ({"ramp": -0.1}, "warm-up: the first quarter of a run differed by -", "set warm_up to at least 2 s"),
        ({"drift": -0.01}, "drift: the host's own values changed by -", "reset in `between`"),
        ({"carry_over": -0.1}, "carry-over: right after other values, the host's own were -", "name a command in"),
    ],
)
def test_a_planted_trouble_is_found_nineteen_times_in_twenty(
    planted: dict[str, float], line: str, advice: str, new_study: NewStudy
) -> None:
    study = new_study(verification={"min_improvement": 3})
    hits = 0
    for seed in range(40):
        result = found_in(study, seed=seed, **planted)
        hits += any(each.startswith(line) for each in result.lines) and any(
            each.startswith(advice) for each in result.advice
        )
    assert hits >= 38


@pytest.mark.takes_seconds
def test_a_benchmark_without_trouble_is_seldom_accused(new_study: NewStudy) -> None:
    study = new_study(verification={"min_improvement": 5})
    accused = sum(found_in(study, seed=seed).decision == Decision.CHANGE for seed in range(200))
    assert accused <= 16  # four tests with one in a hundred each


def test_noise_that_hides_the_gain_is_told_with_what_would_help(new_study: NewStudy) -> None:
    result = found_in(new_study(verification={"min_improvement": 1}), noise=0.05, seconds=1.0)
    assert result.decision == Decision.GO_ON  # gains that matter can be found, though not the smallest
    (advice,) = result.advice
    assert "run the benchmark longer than 1.0 s" in advice
    assert any(line.startswith("no probe differs from the host's own values") for line in result.lines)


def test_a_benchmark_that_is_far_too_noisy_is_to_be_changed_first(new_study: NewStudy) -> None:
    result = found_in(new_study(), noise=0.8)
    assert result.decision == Decision.CHANGE
    assert "too noisy" in result.advice[0]


def test_other_load_is_a_note_and_becomes_the_first_recommendation_where_noise_hides_all(new_study: NewStudy) -> None:
    load = ["other processes use 48 % of the CPU time of web1: make 48 %, process 11; measure when it is idle"]
    steady = fitness(new_study(), runs(noise=0.05), disturbances=load)  # it may be the service, which serves its users
    assert steady.decision == Decision.GO_ON
    assert f"note: {load[0]}" in steady.lines
    noisy = fitness(new_study(), runs(noise=0.8), disturbances=load)
    assert noisy.decision == Decision.CHANGE
    assert noisy.advice[0] == load[0]


def test_a_study_whose_probes_change_less_than_is_detected_is_given_up(new_study: NewStudy) -> None:
    rules = {"min_improvement": 5}
    assert fitness(new_study(verification=rules), runs(noise=0.005)).decision == Decision.GIVE_UP
    seen = fitness(new_study(verification=rules), runs(noise=0.005, gains=(0.06, 0.0, 0.0)))
    assert seen.decision == Decision.GO_ON
    untried = fitness(new_study(verification=rules), runs(noise=0.005), missing=1)
    assert (untried.decision, untried.seen) == (Decision.GO_ON, False)
    assert fitness(new_study(), runs()[:8], missing=3).decision == Decision.CHANGE  # nothing works but the host's own
    assert fitness(new_study(verification=rules), runs(noise=0.005)[:8]).decision == Decision.GO_ON  # nothing was tried


def test_a_guard_metric_is_judged_by_its_noise_and_limit(new_study: NewStudy) -> None:
    def judged(may_worsen: float, noise: float) -> Fitness:
        guard = {"metric": "p99_ms", "direction": "minimise", "may_worsen": may_worsen}
        study = new_study(guard_metrics=[guard], verification={"min_improvement": 3})
        return fitness(study, runs(latency_noise=noise))

    steady = judged(5, 0.01)
    assert steady.decision == Decision.GO_ON
    assert any(line.startswith("guard metric p99_ms: noise ") and line.endswith("limit 5 %") for line in steady.lines)
    noisy = judged(1, 0.2)
    assert noisy.decision == Decision.CHANGE
    (advice,) = noisy.advice
    assert "candidates that do no harm would mostly miss: raise its may_worsen to " in advice
    wide = float(advice.partition("may_worsen to ")[2].partition(",")[0])
    assert (judged(wide, 0.2).decision, judged(wide, 0.2).advice) == (Decision.GO_ON, ())
    between = judged(0.85 * wide, 0.2)
    assert between.decision == Decision.GO_ON
    assert "would sometimes miss" in between.advice[0]


@pytest.mark.parametrize(("zeros", "advised"), [((0, 2), 1), (range(14), 0)])
def test_a_guard_metric_of_0_is_not_judged_by_the_other_runs(
    zeros: Sequence[int], advised: int, new_study: NewStudy
) -> None:
    guard = {"metric": "p99_ms", "direction": "minimise", "may_worsen": 5}
    study = new_study(guard_metrics=[guard], verification={"min_improvement": 3})
    found = [replace(run, metrics={"p99_ms": 0.0}) if at in zeros else run for at, run in enumerate(runs())]
    result = fitness(study, found)
    assert not any(line.startswith("guard metric") for line in result.lines)
    assert len(result.advice) == advised


def test_a_metric_without_noise_is_no_trouble(new_study: NewStudy) -> None:
    result = found_in(new_study(), noise=0.0)
    assert result.advice == ()
    assert "baseline noise between runs: none" in result.lines


def test_too_few_runs_are_refused(new_study: NewStudy) -> None:
    with pytest.raises(ValueError, match="3 runs of the host's own values are too few"):
        fitness(new_study(), runs()[:3])
