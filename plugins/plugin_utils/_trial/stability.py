# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How steadily a host worked during one run of the benchmark, as a score in [0, 1].

    stability = variation x memory_pressure x io_pressure x retransmits x errors x kernel_messages

Each part is in [0, 1], 1 meaning that nothing went wrong. Parts that were not observed are left out of the score; the
reward uses the host's usual value for them, so that a missing part is neither a gain nor a loss.

| part | formula | 1/2 at |
|---|---|---|
| variation | 1 - standard deviation / mean of the streamed metric, from 3 values on | 50 % |
| memory_pressure, io_pressure | 1 - share of time in which all tasks stalled on it (PSI full) | 50 % |
| retransmits | 1 / (1 + share of TCP segments retransmitted / 5 %) | 5 % |
| errors | 1 / (1 + share of packets dropped or damaged in a network device / 1 %) | 1 % |
| kernel_messages | 1 / (1 + messages of level error or worse) | 1 message |

It is a product, so that good parts cannot make up for a bad one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

_HALF_AT = {"retransmits": 0.05, "errors": 0.01, "kernel_messages": 1.0}
_SHARES = ("memory_pressure", "io_pressure")


def stability_parts(streamed: Sequence[float], health: Mapping[str, float]) -> dict[str, float]:
    """The parts of the score by name, from the streamed metric and the health signals."""
    parts = {}
    if len(streamed) > 2 and fmean(streamed) > 0:
        parts["variation"] = max(0.0, 1.0 - stdev(streamed) / fmean(streamed))
    parts |= {name: 1.0 - min(health[name], 1.0) for name in _SHARES if name in health}
    return parts | {name: 1.0 / (1.0 + health[name] / half) for name, half in _HALF_AT.items() if name in health}


def stability(parts: Mapping[str, float]) -> float | None:
    """The score; None if no part was observed."""
    return math.prod(parts.values()) if parts else None


def usual_parts(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each part over the runs that have it."""
    names = dict.fromkeys(name for parts in seen for name in parts)
    return {name: fmean(parts[name] for parts in seen if name in parts) for name in names}
