# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The power forecast: from the noise of the baseline, which gains the proof will be able to detect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import chi2, norm, t

from .._fleet.drift import Drift
from .._study.sections import Verification, rounds_of
from .._study.study import Study
from .._trial.reward import percent
from .bounds import detectable_drift, planned_analyses

# Kernel parameters seldom improve on sane defaults by more than this, in per cent.
_LARGEST_USUAL_GAIN = 25.0
_MOST_PAIRS = 1000
_SHORT = 2.0  # seconds; starting a shorter benchmark is a large part of its run
_MOST_NAMED = 6
_LIMIT = 0.9  # confidence of the noise's upper limit


@dataclass(frozen=True)
class Forecast:
    """cv and per_host: the baseline's coefficient of variation between runs, in per cent, overall and by host.

    freedom: the degrees of freedom of `cv`.
    detectable: the gain, in per cent, that the proof detects with the study's `power`. lines: the same as text: the
    noise, the detectable gain, and, if that is not enough, advice.
    """

    cv: float
    freedom: float
    per_host: Mapping[str, float]
    detectable: float
    lines: tuple[str, ...]

    @property
    def is_too_noisy(self) -> bool:
        """Whether kernel parameters seldom bring a gain that the proof would detect."""
        return self.detectable > _LARGEST_USUAL_GAIN


def power_forecast(
    study: Study, objectives: Mapping[str, Sequence[float]], hosts: int, seconds: float
) -> Forecast | None:
    """From the baselines' objectives by host; None unless one host has at least two.

    hosts: how many the proof will run on. seconds: duration of the benchmark.
    """
    scatters = {host: scatter_of(values) for host, values in objectives.items() if len(values) > 1}
    if not scatters:
        return None
    parts = [(scatter**2, count) for scatter, count in scatters.values()]
    common = math.sqrt(sum(square * count for square, count in parts) / sum(count for dummy, count in parts))
    freedom = _freedom(parts)
    limit = percent(upper_limit(common, freedom))
    cv, per_host = percent(common), {host: percent(scatter) for host, (scatter, dummy) in scatters.items()}
    rules = study.verification
    found, most = _detectable(rules, cv, rules.pairs, hosts), rules.most_pairs(hosts)
    lines = [
        f"baseline noise between runs: {_noise(cv, limit, per_host)}",
        f"{most} pairs on {hosts} host{'s' if hosts > 1 else ''} detect a gain of {shown(found)} with "
        f"{100 * rules.power:g} % power (confidence {100 * rules.confidence:g} %)"
        + (f"; of {shown(_detectable(rules, limit, rules.pairs, hosts))} if the noise is at its limit" if cv else ""),
    ]
    if found > max(rules.min_improvement, 0.1):
        lines.append(_advice(rules, cv, hosts, found, seconds))
    return Forecast(cv, freedom, per_host, found, tuple(lines))


def upper_limit(scatter: float, freedom: float) -> float:
    """Of a standard deviation, with 90 % confidence: after three runs, it is three times what these show.

    freedom: the degrees of freedom of `scatter`.
    """
    return scatter * math.sqrt(freedom / float(chi2.isf(_LIMIT, freedom)))


def detectable(cv: float, pairs: int, hosts: int, confidence: float, power: float) -> float:
    """The smallest gain, in per cent, that the proof detects with probability `power`.

    cv: the baseline's coefficient of variation between runs on a host, in per cent. pairs: `verification.pairs`.
    """
    rounds = rounds_of(pairs, hosts)
    planned = tuple(at / rounds for at in planned_analyses(rounds, hosts))
    # Estimating the variance costs as much more as in a single t test.
    freedom = hosts * (rounds - 1)
    tails = (1 - confidence) / 2, 1 - power
    inflation = sum(t.isf(tail, freedom) for tail in tails) / sum(norm.isf(tail) for tail in tails)
    standard_error = math.sqrt(2) * math.log1p(cv / 100) / math.sqrt(rounds * hosts)
    return percent(detectable_drift(planned, 1 - confidence, power) * inflation * standard_error)


def _advice(rules: Verification, cv: float, hosts: int, found: float, seconds: float) -> str:
    if found > _LARGEST_USUAL_GAIN:
        problem = f"too noisy: kernel parameters seldom improve a benchmark by more than {_LARGEST_USUAL_GAIN:g} %"
    else:
        problem = f"smaller gains, down to min_improvement ({rules.min_improvement:g} %), will mostly go undetected"
    ways = []
    if seconds < _SHORT:
        ways.append(f"run the benchmark longer than {seconds:.1f} s")
    elif found > _LARGEST_USUAL_GAIN:
        ways.append("make the benchmark longer or steadier")
    pairs = _sufficient_pairs(rules, cv, hosts)
    if pairs:
        more = (pairs - rules.most_pairs(hosts)) * 2 * seconds / hosts
        ways.append(f"raise verification.pairs to {pairs} (up to {math.ceil(more / 60)} min more)")
    ways.append(f"raise verification.min_improvement to {rounded_up(found):g} if smaller gains do not matter")
    return f"{problem}; {', '.join(ways[:-1])}{', or ' if ways[:-1] else ''}{ways[-1]}"


def _sufficient_pairs(rules: Verification, cv: float, hosts: int) -> int | None:
    """How many pairs detect min_improvement; None if more than is reasonable."""
    if rules.min_improvement == 0:
        return None
    pairs = rules.most_pairs(hosts)
    for dummy in range(3):  # nearly proportional to 1 / log ratio squared, so this converges at once
        ratio = math.log1p(_detectable(rules, cv, pairs, hosts) / 100) / math.log1p(rules.min_improvement / 100)
        pairs = hosts * math.ceil(pairs * ratio**2 / hosts)
    return pairs if pairs <= _MOST_PAIRS else None


def _detectable(rules: Verification, cv: float, pairs: int, hosts: int) -> float:
    return detectable(cv, pairs, hosts, rules.confidence, rules.power)


def scatter_of(objectives: Sequence[float]) -> tuple[float, int]:
    """Their standard deviation around a level that drifts, since its last shift, and its degrees of freedom."""
    found = Drift()
    for at, objective in enumerate(objectives):
        found.add(at, objective)
    return found.scatter or 0.0, max(found.degrees_of_freedom, 1)


def _freedom(parts: Sequence[tuple[float, int]]) -> float:
    """Of variances that are pooled by their degrees of freedom, though they may differ (Satterthwaite, 1946)."""
    total = sum(square * count for square, count in parts)
    return (
        total**2 / sum(square**2 * count for square, count in parts) if total else float(sum(c for dummy, c in parts))
    )


def _noise(cv: float, limit: float, by_host: Mapping[str, float]) -> str:
    if not cv:
        return "none"
    hosts = f"; {_by_host(by_host)}" if len(by_host) > 1 else ""
    return f"{shown(cv)} ({100 * _LIMIT:g} % upper limit {shown(limit)}{hosts})"


def _by_host(noises: Mapping[str, float]) -> str:
    worst = sorted(noises.items(), key=lambda item: -item[1])[:_MOST_NAMED]
    named = ", ".join(f"{host} {shown(noise)}" for host, noise in worst)
    rest = len(noises) - len(worst)
    return f"{named}{f', {rest} others with less' if rest else ''}"


def shown(per_cent: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{float(f'{per_cent:.2g}'):g} %"


def rounded_up(value: float) -> float:
    """Two significant digits, rounded up, so that the advice is sufficient."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / digit) * digit, 6)
