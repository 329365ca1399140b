# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.autotune.kernel.dashboard.charts import CHARTS
from ansible_collections.autotune.kernel.dashboard.plotting import LIMIT, Chart, plain, rolling_mean, thin
from ansible_collections.autotune.kernel.dashboard.queries import Host, StudyData, Trial
from hypothesis import given
from hypothesis import strategies as st

SPACE = [
    {"param": "vm.swappiness", "min": 0, "max": 100},
    {"param": "net.core.somaxconn", "min": 128, "max": 65535, "log": True},
    {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
]
OWN = {"vm.swappiness": "60", "net.core.somaxconn": "4096", "net.ipv4.tcp_congestion_control": "reno"}
AT = datetime(2026, 11, 20, tzinfo=UTC)


def trial(number: int, phase: str = "train", host: str = "a", **changes: Any) -> Trial:
    known: dict[str, Any] = {
        "pair": None,
        "metric": 100.0,
        "performance": 0.0,
        "stability": 0.9,
        "reward": 0.5,
        "error": None,
        "finished": AT,
        "requested": OWN,
        "original": False,
        "state": "complete",
    }
    return Trial(id=number, phase=phase, host=host, **{**known, **changes})


def failed(number: int) -> Trial:
    return trial(
        number, metric=None, performance=None, stability=None, reward=-2.0, state="failed", error="out of memory"
    )


def candidate(number: int, swappiness: int, control: str = "reno", performance: float = 0.0) -> Trial:
    requested = {**OWN, "vm.swappiness": swappiness, "net.ipv4.tcp_congestion_control": control}
    return trial(number, requested=requested, performance=performance)


def data(*trials: Trial, result: dict[str, Any] | None = None) -> StudyData:
    own = {"action_space": SPACE, "training_config": {"max_steps_per_episode": 4}}
    study = {"study": own, "metric": "speed", "finished": result and datetime(2026, 11, 22, tzinfo=UTC)}
    hosts = [Host(name, None, None, None, 0, 0, None) for name in dict.fromkeys(t.host for t in trials)]
    return StudyData(study, hosts, trials, (), result)


def trace(chart: Chart, name: str) -> dict[str, Any]:
    (found,) = [one for one in chart.figure["data"] if one["name"] == name]
    return found


def texts(entry: Any) -> list[str]:
    if isinstance(entry, dict):
        return [text for value in entry.values() for text in texts(value)]
    if isinstance(entry, list | tuple):
        return [text for value in entry for text in texts(value)]
    return [entry] if isinstance(entry, str) else []


points = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400)


@given(points, st.integers(4, 60), st.sets(st.integers(0, 399), max_size=3))
def test_thinning_keeps_extremes_and_chosen_points(heights: Sequence[float], limit: int, keep: set[int]) -> None:
    given_points = [(float(x), y, "") for x, y in enumerate(heights)]
    kept = thin(given_points, limit, keep=keep)
    assert len(kept) <= limit
    assert kept == sorted(set(kept) & set(given_points))
    assert kept[-1] == given_points[-1]
    if limit >= len(keep) + 4:
        assert {x for x, dummy, dummy_text in kept} >= {float(x) for x in keep if x < len(heights)}
        assert max(y for dummy, y, dummy_text in kept) == max(heights)
        assert min(y for dummy, y, dummy_text in kept) == min(heights)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50), st.integers(1, 60))
def test_the_rolling_mean_is_the_mean_of_the_last_values(values: list[float], window: int) -> None:
    for end, mean in enumerate(rolling_mean(values, window), 1):
        own = values[max(0, end - window) : end]
        assert mean == pytest.approx(sum(own) / len(own), abs=1e-6)


@pytest.mark.parametrize("name", CHARTS)
def test_without_data_a_chart_says_what_is_missing(name: str) -> None:
    chart = CHARTS[name](data())
    assert chart.figure["data"] == []
    assert len(chart.summary) > 20
    ended = CHARTS[name](data(result={"verdict": "failed"})).summary
    assert " yet" not in ended


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_svg_with_at_most_2000_points_per_series(name: str) -> None:
    generator = random.Random(1)
    many = [trial(n, "baseline", host=f"h{n}") for n in range(1, 51)]
    many += [
        candidate(n, generator.randrange(101), generator.choice(["reno", "bbr"]), generator.gauss(0, 0.2))
        if n % 20
        else failed(n)
        for n in range(51, 9001)
    ]
    many += [trial(n, "control", host=f"h{n % 50 + 1}") for n in range(9001, 12_001)]
    pairs = [
        {"host": "a", "pair": n, "first": "baseline", "baseline": 99.0, "candidate": 101.0, "log_ratio": 0.02}
        for n in range(3000)
    ]
    result = {"evidence": pairs, "interval": [1.0, 3.0], "improvement": 2.0, "metric": "speed"}
    chart = CHARTS[name](data(*many, result=result))
    assert {one["type"] for one in chart.figure["data"]} <= {"scatter", "bar", "box"}
    for one in chart.figure["data"]:
        assert len([y for y in one["y"] if y is not None]) <= LIMIT
    assert 0 < chart.shown <= chart.total
    json.dumps(chart.figure, allow_nan=False)


def test_the_curve_keeps_the_best_and_every_failure() -> None:
    many = [candidate(n, 50, performance=0.9 if n == 4321 else 0.1 * math.sin(n)) for n in range(1, 8001)]
    many += [failed(n) for n in range(8001, 8051)]
    chart = CHARTS["learning_curve"](data(*many))
    assert 4321 in trace(chart, "training")["x"]
    assert trace(chart, "failed")["x"] == list(range(8001, 8051))
    best = trace(chart, "best so far")
    assert best["x"][-2:] == [4321, 8000]
    assert best["y"][-1] == pytest.approx(math.expm1(0.9) * 100)
    assert chart.total == 8050
    assert 1900 < chart.shown <= LIMIT + 50
    assert "single trial, 4321" in chart.summary


def test_a_failed_trial_has_a_marker_of_its_own() -> None:
    for name in ("learning_curve", "stability"):
        chart = CHARTS[name](data(candidate(1, 10, performance=0.2), failed(2), candidate(3, 20)))
        marks = {one["name"]: one["marker"]["symbol"] for one in chart.figure["data"] if one.get("meta") == "points"}
        assert marks["failed"] != marks["training"]
        assert "1 failed" in chart.summary


def test_the_pareto_front_has_the_undominated_candidates() -> None:
    placed = [(0.9, 0.1), (0.8, 0.3), (0.7, 0.2), (0.95, 0.05), (0.5, 0.4)]
    many = [trial(n, stability=s, performance=p) for n, (s, p) in enumerate(placed, 1)]
    assert trace(CHARTS["stability"](data(*many)), "Pareto front")["x"] == [0.95, 0.9, 0.8, 0.5]


def test_pairs_have_separate_series_for_original_values() -> None:
    pairs = [trial(n, phase="verify", performance=n % 2 * 0.5, original=n % 2 == 0) for n in range(1, 9)]
    curve = CHARTS["learning_curve"](data(*pairs))
    assert trace(curve, "proof")["x"] == [1, 3, 5, 7]
    assert trace(curve, "proof, original values")["x"] == [2, 4, 6, 8]


def test_an_episode_is_drawn_as_its_mean() -> None:
    rewards = [0.0, 1.0, 0.0, 1.0, 3.0, 3.0]
    chart = CHARTS["episodes"](data(*(trial(n, reward=r) for n, r in enumerate(rewards, 1))))
    assert trace(chart, "mean reward")["y"] == [0.5, 3.0]
    assert "2 of 4" in chart.summary


def test_failed_trials_count_in_the_mean_but_not_in_the_error_bars() -> None:
    own = [
        trial(1, reward=-2.0, state="failed", error="no"),
        *(trial(n, reward=r) for n, r in ((2, 0.4), (3, 0.5), (4, 0.7))),
    ]
    drawn = trace(CHARTS["episodes"](data(*own)), "mean reward")
    assert drawn["y"] == [pytest.approx(-0.1)]
    assert drawn["error_y"]["array"] == [pytest.approx(0.8)]
    assert drawn["error_y"]["arrayminus"] == [0.0]


def test_importance_finds_a_parameter_with_its_optimum_inside_the_range() -> None:
    generator = random.Random(3)
    many = []
    for n in range(1, 201):
        swappiness, control = generator.randrange(101), generator.choice(["reno", "bbr"])
        performance = -abs(swappiness - 50) / 50 + generator.gauss(0, 0.05)
        many.append(candidate(n, swappiness, control, performance))
    bar = trace(CHARTS["importance"](data(*many)), "importance")
    shares = dict(zip(bar["y"], bar["x"], strict=True))
    assert shares["vm.swappiness"] > 50
    assert shares["net.ipv4.tcp_congestion_control"] < 5


def test_noise_has_no_importance_and_few_trials_show_none() -> None:
    generator = random.Random(4)
    many = [candidate(n, generator.randrange(101), performance=generator.gauss(0, 1)) for n in range(1, 101)]
    assert max(trace(CHARTS["importance"](data(*many)), "importance")["x"]) < 8
    assert CHARTS["importance"](data(*many[:19])).figure["data"] == []


def test_drift_is_relative_to_the_first_baseline_of_each_host() -> None:
    rows = [trial(1, "baseline", metric=100.0), trial(2, "baseline", host="b", metric=50.0)]
    rows += [trial(3, "control", metric=110.0), trial(4, "control", host="b", metric=49.0)]
    chart = CHARTS["drift"](data(*rows))
    assert trace(chart, "a")["y"] == pytest.approx([0.0, 10.0])
    assert trace(chart, "b")["y"] == pytest.approx([0.0, -2.0])
    assert "Largest drift: a, +10.0" in chart.summary


def test_a_section_shows_what_the_whole_chart_shows_there() -> None:
    rows = [trial(1, "baseline", metric=100.0), trial(8, "control", metric=110.0), trial(9, "control", metric=121.0)]
    rows += [trial(n, performance=math.log1p(change)) for n, change in ((2, 0.5), (3, 0.1), (6, 0.2), (7, 0.6))]
    whole = data(*sorted(rows, key=lambda row: row.id))
    part = replace(whole, section=range(5, 10))
    drift, drift_of_part = CHARTS["drift"](whole), CHARTS["drift"](part)
    assert trace(drift_of_part, "a")["y"] == pytest.approx(trace(drift, "a")["y"][1:])
    assert drift_of_part.summary == drift.summary
    curve, curve_of_part = CHARTS["learning_curve"](whole), CHARTS["learning_curve"](part)
    assert curve_of_part.summary == curve.summary
    mean = "mean of the last 5 training trials"
    assert trace(curve_of_part, mean)["y"] == pytest.approx(trace(curve, mean)["y"][2:])
    best = trace(curve_of_part, "best so far")
    assert (best["x"], best["y"]) == ([5, 7, 7], pytest.approx([50, 60, 60]))
    assert trace(CHARTS["learning_curve"](replace(whole, section=range(3, 6))), "best so far")["x"] == [3, 5]


def test_a_smaller_metric_is_better_when_minimising() -> None:
    pair = {"host": "a", "pair": 1, "first": "baseline", "baseline": 100.0, "candidate": 50.0, "log_ratio": math.log(2)}
    result = {"evidence": [pair], "direction": "minimise", "metric": "latency"}
    chart = CHARTS["evidence"](data(trial(1), result=result))
    assert chart.figure["data"][0]["y"] == [pytest.approx(100.0)]
    assert "better in 1 of 1 pair" in chart.summary


@pytest.mark.parametrize("name", CHARTS)
def test_text_from_the_store_is_escaped(name: str) -> None:
    bad = "<b>x</b>"
    rows = [replace_host(trial(1, "baseline"), bad), replace_host(trial(2, "control"), bad)]
    rows += [replace_host(candidate(n, n * 3, "bbr<b>", n / 100), bad) for n in range(3, 30)]
    rows.append(replace_host(failed(30), bad)._replace(error=bad))
    result = {
        "evidence": [{"host": bad, "pair": 1, "first": bad, "baseline": 9.0, "candidate": 10.0, "log_ratio": 0.1}],
        "metric": bad,
    }
    study = data(*rows, result=result)
    space = [{"param": f"net.{bad}", "min": 1, "max": 9}, {**SPACE[2], "choices": ["bbr<b>", "reno"]}, SPACE[0]]
    study = replace(study, study={**study.study, "study": {"action_space": space, "training_config": {}}})
    assert not [
        text
        for text in texts(CHARTS[name](study).figure)
        if "<" in text.replace("<br>", "").replace("<extra></extra>", "")
    ]


def replace_host(row: Trial, host: str) -> Trial:
    return row._replace(host=host)


def test_plain_text_is_cut_and_in_one_line() -> None:
    assert plain("a\nb & c") == "a b &amp; c"
    assert len(plain("x" * 500)) == 80
