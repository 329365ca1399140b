# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The verdict of a study as text: the same on the terminal, in the report and on the dashboard.

Results are taken in the form of result.json, because that is what the dashboard reads from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PerCent = Callable[[float | None], str]


@dataclass(frozen=True)
class Ending:
    """heading: the verdict. text: what follows from it, to be read after the heading."""

    heading: str
    text: str


def ending(result: Mapping[str, Any], per_cent: PerCent) -> Ending:
    """The verdict of a finished study. per_cent: formats a percentage."""
    pairs = result.get("pairs") or 0
    proved = f"{metrics(result)} {gain(result, per_cent)}, proved in {pairs} pair{'' if pairs == 1 else 's'}"
    match result.get("verdict"):
        case "improved":
            return Ending("Improved", proved)
        case "no_improvement" if refusing := _refusing(result):
            guards = f"guard benchmark{'' if len(refusing) == 1 else 's'} {' and '.join(refusing)}"
            return Ending("No improvement", f"no values were shown not to worsen {guards}, so keep the original ones")
        case "no_improvement":
            return Ending("No improvement", "no values were proved better than the original ones, so keep those")
        case "stopped" if is_proved(result):
            return Ending("Stopped", f"{proved}; the ablation was not completed")
        case "stopped":
            return Ending("Stopped", "no improvement was proved yet")
        case "failed":
            return Ending("Failed", "no values were learned")
        case other:
            return Ending(str(other).replace("_", " ").capitalize(), "this version does not know the verdict")


def _refusing(result: Mapping[str, Any]) -> list[str]:
    """The guard benchmarks that were not shown to be non-inferior."""
    return [str(guard["name"]) for guard in result.get("guard_benchmarks") or () if not guard["holds"]]


def is_proved(result: Mapping[str, Any]) -> bool:
    """Whether the best values were proved better, even if the study was stopped after that."""
    return bool(result.get("proved", result.get("verdict") == "improved"))


def metrics(result: Mapping[str, Any]) -> str:
    """What the improvement is about: the metric, or all objectives."""
    objectives = result.get("objectives") or ()
    return " and ".join(str(objective["metric"]) for objective in objectives) or str(result.get("metric", "the metric"))


def gain(result: Mapping[str, Any], per_cent: PerCent) -> str:
    """The improvement and its interval: "+58.0 % (95 % interval +51.2 % to +66.0 %)"."""
    improvement, interval = result.get("improvement"), result.get("interval")
    if not interval:
        return per_cent(improvement)
    low, high = map(per_cent, interval)
    return f"{per_cent(improvement)} ({100 * result.get('confidence', 0.95):.3g} % interval {low} to {high})"
