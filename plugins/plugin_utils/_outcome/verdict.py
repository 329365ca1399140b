# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The verdict of a study as text: the same on the terminal, in the report and on the dashboard.

Results are taken in the form of result.json, because that is what the dashboard reads from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._trial import reward

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
            both = f"to improve {metrics(result)} and to leave {guards} unharmed"
            return Ending("No improvement", f"no values could be shown {both}, so keep the original ones")
        case "no_improvement":
            return Ending("No improvement", "no values were proved better than the original ones, so keep those")
        case "stopped" | "failed" as verdict if is_proved(result):
            return Ending(verdict.capitalize(), f"{proved}; the ablation was not completed")
        case "stopped" if result.get("decided_after"):
            return Ending("Stopped", f"{proved}; the guard benchmarks were not completed, so nothing is learned")
        case "stopped":
            return Ending("Stopped", "no improvement was proved yet")
        case "failed":
            return Ending("Failed", "no values were learned")
        case other:
            return Ending(str(other).replace("_", " ").capitalize(), "this version does not know the verdict")


def _refusing(result: Mapping[str, Any]) -> list[str]:
    """The guard benchmarks that some or all of the values worsened; others may not have been measured."""
    guards = result.get("guard_benchmarks") or ()
    return [str(guard["name"]) for guard in guards if guard.get("dropped") or non_inferiority(guard) == "not shown"]


def limit(guard: Mapping[str, Any]) -> float:
    """Of a guard metric or a guard benchmark, in per cent."""
    return reward.limit(guard["may_worsen"], guard["direction"])


def non_inferiority(guard: Mapping[str, Any]) -> str:
    """Of a guard metric or a guard benchmark: "shown", "not shown" or "not measured"."""
    if guard["holds"]:
        return "shown"
    return "not shown" if guard.get("measured", guard.get("change") is not None) else "not measured"


def is_proved(result: Mapping[str, Any]) -> bool:
    """Whether the best values were proved better, even if the study has stopped or failed since."""
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


def carry_over(tests: Sequence[Mapping[str, Any]], per_cent: PerCent) -> str:
    """What the proof found out about carry-over, as a clause; empty if it was not tested. tests: as in result.json."""
    if not tests:
        return ""
    last = tests[-1]
    low, high = map(per_cent, last["interval"])
    effect = f"a run right after one of the candidate: {per_cent(last['change'])} ({low} to {high})"
    pause = f" with a pause of {last['pause']:.0f} s before each run" if last.get("pause") else ""
    if last["found"]:
        return f"found{pause}: {effect}, correlation of successive pairs {last['correlation']:+.2f}"
    none = "found, but none" if len(tests) > 1 else "none found"
    return f"{none}{pause}: {effect}; less than {last['detectable']:.1f} % could go undetected"


def unrecovered(result: Mapping[str, Any], per_cent: PerCent) -> list[str]:
    """A sentence for each host that got its values back but not its performance. Nothing of a run may hide this."""
    found = []
    for name, host in (result.get("per_host") or {}).items():
        recovery = host.get("recovery")
        if recovery and not recovery["recovered"]:
            change = recovery.get("change")
            now = "the benchmark fails now" if change is None else f"{per_cent(change)} since the beginning of the run"
            found.append(
                f"NEEDS ATTENTION: {name} has its original values back, but not its performance: {now}. Either a "
                f"candidate left something behind, or the host has changed: reset its workload, or reboot it, before "
                f"relying on it"
            )
    return found
