# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the user is told of the benchmark's noise before time is spent: what the study can find, and what would help."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._evaluation.reward import percent
from .._fleet.drift import Drift
from .._study.study import Study
from .power import detectable

# Gains from kernel parameters are mostly smaller than this, in per cent, beside a sane default.
_LARGEST_USUAL_GAIN = 25.0
_MOST_PAIRS = 1000
_SHORT = 2.0  # seconds of a benchmark, of which starting it is a good part
_MOST_NAMED = 6


@dataclass(frozen=True)
class Forecast:
    """cv and per_host: the baseline's coefficient of variation from run to run, in per cent, in all and by host.

    detectable: the gain, in per cent, that the proof finds with the study's `power`. lines: all that in words, the
    first of the noise, the second of what can be found, the third (if there is one) of what would help.
    """

    cv: float
    per_host: Mapping[str, float]
    detectable: float
    lines: tuple[str, ...]


def foresee(study: Study, figures: Mapping[str, Sequence[float]], hosts: int, seconds: float) -> Forecast | None:
    """From the baselines' figures by host (see reward.figure), two of one host at least, or None.

    hosts: how many the study will be proved on. seconds: how long the benchmark runs.
    """
    drifts = {host: _drift_of(own) for host, own in figures.items() if len(own) > 1}
    scatters = {host: (drift.scatter or 0.0, len(figures[host]) - 1) for host, drift in drifts.items()}
    if not scatters:
        return None
    freedom = sum(count for dummy, count in scatters.values())
    common = math.sqrt(sum(scatter**2 * count for scatter, count in scatters.values()) / freedom)
    cv, per_host = percent(common), {host: percent(scatter) for host, (scatter, dummy) in scatters.items()}
    found = _detectable(study, cv, study.verification.pairs, hosts)
    wanted = study.verification
    lines = [
        f"noise of the baseline from one run to the next: {_shown(cv) if cv else 'none seen'}{_by_host(per_host)}",
        f"{wanted.pairs} pairs on {hosts} host{'s' if hosts > 1 else ''} find a gain of {_shown(found)} or more with "
        f"probability {wanted.power:g} (confidence {wanted.confidence:g})",
    ]
    if found > max(wanted.min_improvement, 0.1):
        lines.append(_advice(study, cv, hosts, found, seconds))
    return Forecast(cv, per_host, found, tuple(lines))


def _advice(study: Study, cv: float, hosts: int, found: float, seconds: float) -> str:
    wanted = study.verification
    smaller = f"smaller ones, from min_improvement ({wanted.min_improvement:g} %) on, will mostly be missed"
    if found > _LARGEST_USUAL_GAIN:
        smaller = (
            f"the benchmark is too noisy for this: kernel parameters seldom bring more than {_LARGEST_USUAL_GAIN:g} %"
        )
    ways = []
    if seconds < _SHORT:
        ways.append(f"run the benchmark longer than its {seconds:.1f} s")
    elif found > _LARGEST_USUAL_GAIN:
        ways.append("make the benchmark longer or steadier")
    pairs = _enough_pairs(study, cv, hosts)
    if pairs:
        more = (pairs - wanted.pairs) * 2 * seconds / hosts
        ways.append(f"raise verification.pairs to {pairs} (up to {math.ceil(more / 60)} min more)")
    ways.append(f"raise verification.min_improvement to {_rounded_up(found):g}, if less does not matter")
    return f"{smaller}; {', '.join(ways[:-1])}{', or ' if ways[:-1] else ''}{ways[-1]}"


def _enough_pairs(study: Study, cv: float, hosts: int) -> int | None:
    """How many find min_improvement; None where so many would not be worth it."""
    wanted = study.verification
    if wanted.min_improvement == 0:
        return None
    low, high = wanted.pairs, _MOST_PAIRS
    if _detectable(study, cv, high, hosts) > wanted.min_improvement:
        return None
    while high - low > max(low // 20, 1):
        middle = (low + high) // 2
        if _detectable(study, cv, middle, hosts) > wanted.min_improvement:
            low = middle
        else:
            high = middle
    return high


def _detectable(study: Study, cv: float, pairs: int, hosts: int) -> float:
    return detectable(cv, pairs, hosts, study.verification.confidence, study.verification.power)


def _drift_of(figures: Sequence[float]) -> Drift:
    drift = Drift()
    for at, figure in enumerate(figures):
        drift.add(at, figure)
    return drift


def _by_host(noises: Mapping[str, float]) -> str:
    if len(noises) == 1 or not any(noises.values()):
        return ""
    worst = sorted(noises.items(), key=lambda item: -item[1])[:_MOST_NAMED]
    named = ", ".join(f"{host} {_shown(noise)}" for host, noise in worst)
    rest = len(noises) - len(worst)
    return f" ({named}{f', less on {rest} more' if rest else ''})"


def _shown(per_cent: float) -> str:
    """To two digits, and in the way people write numbers."""
    return f"{float(f'{per_cent:.2g}'):g} %"


def _rounded_up(value: float) -> float:
    """To two digits, so that what is written down is enough."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / digit) * digit, 6)
