# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How steadily a host did its work: a score in [0, 1] from what was seen during one run of the benchmark.

    stability = variation x memory_pressure x io_pressure x retransmits x errors x kernel_messages

Each part is in [0, 1], 1 where nothing went wrong. The score of a run is made of the parts that were seen; in the
reward, what was not seen counts as it usually is on that host, so that nothing is gained or lost by not being seen:

| part | is | 1/2 at |
|---|---|---|
| variation | 1 - standard deviation / mean of the metric as it was streamed, from 3 values on | 50 % |
| memory_pressure, io_pressure | 1 - share of the time in which no task got on for want of it (PSI, `full`) | 50 % |
| retransmits | 1 / (1 + share of TCP segments sent again / 5 %) | 5 % |
| errors | 1 / (1 + share of packets lost or damaged in a network device / 1 %) | 1 % |
| kernel_messages | 1 / (1 + messages of level error or worse) | 1 message |

A product, so that one bad part is not made good by others, and more trouble of any kind is never a better score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

_HALF_AT = {"retransmits": 0.05, "errors": 0.01, "kernel_messages": 1.0}
_SHARES = ("memory_pressure", "io_pressure")


def stability_parts(streamed: Sequence[float], strain: Mapping[str, float]) -> dict[str, float]:
    """The parts of the score by name. strain: what the worker saw (see `strain` in _worker/guard.py)."""
    parts = {}
    if len(streamed) > 2 and fmean(streamed) > 0:
        parts["variation"] = max(0.0, 1.0 - stdev(streamed) / fmean(streamed))
    parts |= {name: 1.0 - min(strain[name], 1.0) for name in _SHARES if name in strain}
    return parts | {name: 1.0 / (1.0 + strain[name] / half) for name, half in _HALF_AT.items() if name in strain}


def stability(parts: Mapping[str, float]) -> float | None:
    """The score; None where nothing was seen."""
    return math.prod(parts.values()) if parts else None


def supposed(parts: Mapping[str, float], usual: Mapping[str, float]) -> float:
    """The score with all parts that are usually seen; 1 where none ever is."""
    return math.prod({**usual, **parts}.values())


def usual_parts(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each part over the runs that had it, from the parts of several runs with a host's own values."""
    names = dict.fromkeys(name for parts in seen for name in parts)
    return {name: fmean(parts[name] for parts in seen if name in parts) for name in names}
