# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Template filters: numbers, times and verdicts as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup

from ..plugins.plugin_utils._outcome import verdict as endings
from ..plugins.plugin_utils._trial.trial import phase_name

MISSING = "\N{EN DASH}"
NBSP = "\N{NO-BREAK SPACE}"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
VERDICTS = {
    "improved": "Improved",
    "no_improvement": "No improvement",
    "failed": "Failed",
    "stopped": "Stopped",
    "interrupted": "Interrupted",
}


def number(value: Any) -> str:
    """Four significant digits, thousands separators, and an exponent only for very small and very large numbers."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return MISSING if value is None or isinstance(value, float | Undefined) else str(value)
    size = abs(value)
    if (value == int(value) or size >= 1000) and size < 1e15:
        return _minus(f"{value:,.0f}")
    mantissa, dummy, exponent = f"{value:.4g}".partition("e")
    power = f"{NBSP}\N{MULTIPLICATION SIGN}{NBSP}10{str(int(exponent)).translate(_SUPERSCRIPT)}" if exponent else ""
    return _minus(mantissa + power)


def probability(value: Any) -> str:
    """Two significant digits."""
    return number(float(f"{value:.2g}") if isinstance(value, int | float) else value)


def per_cent(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    return _minus(f"{value:+,.1f}{NBSP}%" if abs(value) < 1000 else f"{value:+,.0f}{NBSP}%")


def duration(seconds: float | None) -> str:
    """The two largest units: "4 min 46 s"."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def moment(value: datetime | str | None) -> Markup | str:
    """A time in UTC, which the page can show in local time; text that is no time is returned as it is."""
    if not value:
        return MISSING
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        at.isoformat(timespec="seconds"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def phase(name: str | None) -> str:
    return phase_name(name) if name else MISSING


def verdict(name: str | None) -> str:
    return VERDICTS.get(name, name.replace("_", " ")) if name else "Running"


def state(status: Mapping[str, Any]) -> str | None:
    """The verdict, "interrupted", or None while the study runs."""
    found: str | None = status.get("verdict") or ("interrupted" if status.get("interrupted") else None)
    return found


def count(how_many: int | None, noun: str) -> str:
    """ "1 host", "1,200 hosts"."""
    return f"{number(how_many or 0)} {noun}{'' if how_many == 1 else 's'}"


def headline(study: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """The state of the study in one sentence that claims no more than was proved."""
    if status.get("verdict") and (problem := study.get("result_problem")):
        return f"{verdict(status['verdict'])}, but the result in the store cannot be read ({problem})."
    if status.get("verdict"):
        result = {"metric": study.get("metrics"), **(study.get("result") or {}), "verdict": status["verdict"]}
        said = endings.ending(result, per_cent)
        return _with_nbsp(f"{said.heading}: {said.text}.")
    best = status.get("best_percent")
    if best is None:
        return "No candidate has been measured yet."
    change = f"{per_cent(best)} {study.get('metrics') or 'metric'}"
    if best <= 0:
        return f"No candidate has beaten the baseline so far; the best one: {change}."
    return f"Best candidate so far: {change} in a single trial, not yet proved."


def announcement(status: Mapping[str, Any]) -> str:
    """The state of the study for screen readers."""
    if known := state(status):
        return f"{verdict(known)}."
    done = f"{number(status['trials'])} of {number(status['trials_planned'])} trials"
    return f"{phase(status['phase'])}, {done}, best in training {per_cent(status['best_percent'])}"


def activity(host: Mapping[str, Any], status: Mapping[str, Any]) -> str | None:
    """What the host is doing, or was doing when the study was interrupted."""
    doing: str | None = host["doing"]
    return f"was: {doing}" if doing and status.get("interrupted") else doing


@dataclass(frozen=True)
class Restoration:
    """Whether hosts have their original values back. needs_attention: at least one has not."""

    text: str
    needs_attention: bool = False


def restoration(hosts: Sequence[Mapping[str, Any]], over: bool = False) -> Restoration | None:
    """What the hosts of a finished study reported; None if there were none. over: nothing more will come from them."""
    if not hosts:
        return None
    unknown = [host for host in hosts if host["restored"] is None]
    restoring = [host for host in unknown if host["doing"] and not over]
    groups = (
        ("Original values not verified, needs attention (see the log)", [h for h in hosts if h["restored"] is False]),
        ("Restoring original values", restoring),
        ("No contact since tuning; the lease restores the original values", [h for h in unknown if h not in restoring]),
    )
    told = [f"{text}: {_names(members)}." for text, members in groups if members]
    needs_attention = bool(groups[0][1])
    return Restoration(
        " ".join(told) or "The original values of all hosts were restored and verified.", needs_attention
    )


def _names(hosts: Sequence[Mapping[str, Any]]) -> str:
    names = [str(host["name"]) for host in hosts[:6]]
    return ", ".join(names) + (f" and {len(hosts) - 6} more" if len(hosts) > 6 else "")


def gain(result: Mapping[str, Any]) -> str:
    """The improvement with its interval, as in "+58.0 % (95 % interval +51.2 % to +66.0 %)"."""
    return _with_nbsp(endings.gain(result, per_cent))


def carry_over(result: Mapping[str, Any]) -> str:
    """What the proof found out about carry-over; empty if it was not tested."""
    return _with_nbsp(endings.carry_over(result.get("carry_over") or (), per_cent))


def unrecovered(result: Mapping[str, Any] | None) -> list[str]:
    """A sentence for each host that did not get its performance back."""
    return [_with_nbsp(text) for text in endings.unrecovered(result or {}, per_cent)]


def _with_nbsp(text: str) -> str:
    return text.replace(" % ", f"{NBSP}% ")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


FILTERS: dict[str, Callable[..., Any]] = {
    **{
        function.__name__: function
        for function in (
            *(number, probability, per_cent, duration, moment, phase, verdict, state, count),
            *(headline, announcement, activity, restoration, gain, carry_over, unrecovered),
        )
    },
    "metrics": endings.metrics,
    "limit": endings.limit,
    "non_inferiority": endings.non_inferiority,
    "is_proved": lambda result: endings.is_proved(result or {}),
}
