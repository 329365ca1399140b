from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.noise import (
    Forecast,
    detectable,
    power_forecast,
    upper_limit,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

NewStudy = Callable[..., Study]


def forecast(study: Study, noise: float, *, seconds: float = 5.0, hosts: int = 2, count: int = 40) -> Forecast:
    generator = np.random.default_rng(1)
    found = power_forecast(
        study, {f"lab{at}": generator.normal(5, noise, count) for at in range(hosts)}, hosts, seconds
    )
    assert found is not None
    return found


@pytest.mark.takes_seconds
def test_reports_noise_by_host_and_the_detectable_gain(new_study: NewStudy) -> None:
    found = forecast(new_study(), 0.03)
    assert found.cv == pytest.approx(3, rel=0.15)
    assert list(found.per_host) == ["lab0", "lab1"]
    assert found.detectable == detectable(found.cv, 40, 2, 0.95, 0.9)
    first, second, dummy = found.lines
    assert re.fullmatch(
        r"baseline noise between runs: \d\.\d % \(90 % upper limit \d\.\d %; lab\d [\d.]+ %, .*\)", first
    )
    assert second.startswith(
        f"40 pairs on 2 hosts detect a gain of {found.detectable:.2g} % with 90 % power (confidence 95 %); of "
    )
    assert second.endswith(" % if the noise is at its limit")


def test_a_noisy_host_among_steady_ones_has_few_degrees_of_freedom(new_study: NewStudy) -> None:
    values = {"noisy": [5.0, 5.1, 4.9], **{f"steady{at}": [5.0, 5.0001, 4.9999] for at in range(9)}}
    found = power_forecast(new_study(), values, 10, 5.0)
    assert found
    assert found.freedom == pytest.approx(2, abs=0.1)  # not 20, those of all hosts


def test_the_upper_limit_of_the_noise_covers_the_truth_nine_times_in_ten() -> None:
    samples = np.random.default_rng(1).normal(0, 0.03, (2000, 3))
    covered = sum(upper_limit(float(np.std(sample, ddof=1)), 2) >= 0.03 for sample in samples)
    assert 0.88 <= covered / len(samples) <= 0.92


@pytest.mark.takes_seconds
def test_advises_sufficient_pairs(new_study: NewStudy) -> None:
    found = forecast(new_study(), 0.03)
    advised = re.search(r"raise verification\.pairs to (\d+) \(up to (\d+) min more\)", found.lines[2])
    assert advised is not None
    pairs = int(advised[1])
    assert detectable(found.cv, pairs, 2, 0.95, 0.9) <= 1.0 < detectable(found.cv, int(pairs * 0.9), 2, 0.95, 0.9)
    assert int(advised[2]) == math.ceil((pairs - 40) * 2 * 5 / 2 / 60)


@pytest.mark.takes_seconds
@pytest.mark.parametrize(("hosts", "most"), [(7, 35), (30, 60), (1, 40)])
def test_counts_the_pairs_that_the_hosts_will_measure(new_study: NewStudy, hosts: int, most: int) -> None:
    """40 pairs are 5 on each of 7 hosts, and 2 on each of 30."""
    found = forecast(new_study(), 0.03, hosts=hosts, count=10)
    host = "1 host" if hosts == 1 else f"{hosts} hosts"
    assert found.lines[1].startswith(f"{most} pairs on {host} detect a gain of ")
    assert found.detectable == detectable(found.cv, most, hosts, 0.95, 0.9)
    advised = re.search(r"raise verification\.pairs to (\d+) \(up to (\d+) min more\)", found.lines[2])
    assert advised is not None
    pairs = int(advised[1])
    assert pairs % hosts == 0
    assert int(advised[2]) == math.ceil((pairs - most) * 2 * 5 / hosts / 60)


def test_advises_a_detectable_min_improvement(new_study: NewStudy) -> None:
    found = forecast(new_study(), 0.03)
    advised = re.search(r"raise verification\.min_improvement to ([\d.]+) if", found.lines[2])
    assert advised is not None
    again = forecast(new_study(verification={"min_improvement": float(advised[1])}), 0.03)
    assert len(again.lines) == 2


def test_gives_no_advice_if_min_improvement_is_detectable(new_study: NewStudy) -> None:
    assert len(forecast(new_study(), 0.005).lines) == 2
    silent = forecast(new_study(), 0.0)
    assert silent.lines[0] == "baseline noise between runs: none"
    assert len(silent.lines) == 2


@pytest.mark.takes_seconds
def test_warns_of_a_benchmark_that_is_too_noisy(new_study: NewStudy) -> None:
    noisy, short = (forecast(new_study(), 0.5, seconds=seconds).lines[2] for seconds in (5.0, 0.4))
    assert noisy.startswith("too noisy: ")
    assert "make the benchmark longer or steadier" in noisy
    assert "verification.pairs" not in noisy
    assert "run the benchmark longer than 0.4 s" in short


def test_a_cold_start_does_not_count_as_noise(new_study: NewStudy) -> None:
    found = power_forecast(new_study(), {"h1": [math.log(metric) for metric in (50, 100, 101)]}, 1, 5.0)
    assert found is not None
    assert found.cv < 2


def test_makes_no_forecast_from_one_measurement(new_study: NewStudy) -> None:
    assert power_forecast(new_study(), {"h1": [5.0]}, 1, 5.0) is None


def test_names_only_the_noisiest_of_many_hosts(new_study: NewStudy) -> None:
    line = forecast(new_study(), 0.03, hosts=9, count=3).lines[0]
    assert line.count("lab") == 6
    assert line.endswith(", 3 others with less)")


@pytest.mark.takes_seconds
@pytest.mark.parametrize("unit", [0.4, 1.0, 300.0])
def test_extreme_noise_is_finite_and_readable(new_study: NewStudy, unit: float) -> None:
    """It showed `a gain of 2.4e+02 %`, and absurd ranges ended the trainer."""
    figures = [unit * at for at in (3, 1, 0, 2)]
    found = power_forecast(new_study(verification={"pairs": 4}), {"lab1": figures, "lab2": figures}, 2, 5.0)
    assert found is not None
    assert math.isfinite(found.detectable)
    assert unit > 1 or "e+" not in " ".join(found.lines)
