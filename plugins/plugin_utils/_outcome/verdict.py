# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How a study ended, in words: the same on the terminal, in the report and on the page.

A result is taken as result.json has it, so that the page can say it of any store without reading the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PerCent = Callable[[float | None], str]


@dataclass(frozen=True)
class Ending:
    """heading: the verdict. text: what follows from it, as the end of a sentence that the heading begins."""

    heading: str
    text: str


def ending(result: Mapping[str, Any], per_cent: PerCent) -> Ending:
    """What may be said of a study that has ended, and no more. per_cent: how a percentage is written there."""
    pairs = result.get("pairs") or 0
    proved = f"{wanted(result)} {gain(result, per_cent)}, proved in {pairs} pair{'' if pairs == 1 else 's'}"
    match result.get("verdict"):
        case "improved":
            return Ending("Improved", proved)
        case "no_improvement":
            return Ending("No improvement", "nothing better than the hosts' own values was proved: keep them")
        case "stopped" if is_proved(result):
            return Ending("Stopped before the end", f"{proved}, but which of the values are needed was not known yet")
        case "stopped":
            return Ending("Stopped before the end", "nothing was proved")
        case "failed":
            return Ending("Failed", "nothing was learned")
        case other:
            return Ending(str(other).replace("_", " ").capitalize(), "this version does not know the verdict")


def is_proved(result: Mapping[str, Any]) -> bool:
    """Whether the best values were proved to be better, though the study may have been stopped after that."""
    return bool(result.get("proved", result.get("verdict") == "improved"))


def wanted(result: Mapping[str, Any]) -> str:
    """What the improvement is about: the metric, or all that there are."""
    objectives = result.get("objectives") or ()
    return " and ".join(str(objective["metric"]) for objective in objectives) or str(result.get("metric", "the metric"))


def gain(result: Mapping[str, Any], per_cent: PerCent) -> str:
    """The improvement with its interval, as in "+58.0 % (95 % interval +51.2 % to +66.0 %)"."""
    improvement, interval = result.get("improvement"), result.get("interval")
    if not interval:
        return per_cent(improvement)
    low, high = map(per_cent, interval)
    return f"{per_cent(improvement)} ({100 * result.get('confidence', 0.95):.3g} % interval {low} to {high})"
