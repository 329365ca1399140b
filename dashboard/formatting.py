# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Figures, times and verdicts as people read them: the filters of the templates. static/words.js says the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup

from ..plugins.plugin_utils._outcome import verdict as endings

NOTHING = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PHASES = {
    "baseline": "measuring the baseline",
    "control": "measuring the baseline again",
    "train": "training",
    "race": "racing the best candidates",
    "verify": "proving the best candidate",
    "ablate": "leaving out what does not help",
    "ended": "ended",
}
VERDICTS = {
    "improved": "Improved",
    "no_improvement": "No improvement",
    "failed": "Failed",
    "stopped": "Stopped",
    "interrupted": "Interrupted",
}


def number(value: Any) -> str:
    """Four significant digits, thousands apart, and no exponent where people would not write one."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return NOTHING if value is None or isinstance(value, float | Undefined) else str(value)
    size = abs(value)
    if (value == int(value) or size >= 1000) and size < 1e15:
        return _minus(f"{value:,.0f}")
    mantissa, dummy, exponent = f"{value:.4g}".partition("e")
    power = f"{SPACE}\N{MULTIPLICATION SIGN}{SPACE}10{str(int(exponent)).translate(_RAISED)}" if exponent else ""
    return _minus(mantissa + power)


def probability(value: Any) -> str:
    """Two digits: more of them mean nothing."""
    return number(float(f"{value:.2g}") if isinstance(value, int | float) else value)


def per_cent(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    return _minus(f"{value:+,.1f}{SPACE}%" if abs(value) < 1000 else f"{value:+,.0f}{SPACE}%")


def duration(seconds: float | None) -> str:
    """The two largest units: "4 min 46 s"."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
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
    """A moment in UTC that a browser can say in the reader's own time."""
    if not value:
        return NOTHING
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        at.isoformat(timespec="seconds"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def phase(name: str | None) -> str:
    return PHASES.get(name or "", name or NOTHING)


def verdict(name: str | None) -> str:
    return VERDICTS.get(name or "", "Running" if not name else name.replace("_", " "))


def state(status: Mapping[str, Any]) -> str | None:
    """The verdict, "interrupted", or None for what runs."""
    found: str | None = status.get("verdict") or ("interrupted" if status.get("interrupted") else None)
    return found


def count(how_many: int | None, noun: str) -> str:
    """ "1 host", "1,200 hosts"."""
    return f"{number(how_many or 0)} {noun}{'' if how_many == 1 else 's'}"


def sentence(study: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """What is known, in one sentence that claims no more than has been proved."""
    if status.get("verdict"):
        result = {"metric": study.get("metric"), **(study.get("result") or {}), "verdict": status["verdict"]}
        said = endings.ending(result, per_cent)
        return _unbroken(f"{said.heading}: {said.text}.")
    metric = study.get("metric") or "the metric"
    best = status.get("best_percent")
    if best is None:
        return "No candidate has been measured yet."
    if best <= 0:
        return f"Nothing better than the baseline so far; the best candidate makes {per_cent(best)} of {metric}."
    return f"Best so far {per_cent(best)} of {metric} in a single evaluation: not yet significant."


@dataclass(frozen=True)
class Left:
    """What hosts have once a study has left them. needs_attention: not everywhere their own values."""

    text: str
    needs_attention: bool = False


def left_with(hosts: Sequence[Mapping[str, Any]], result: Mapping[str, Any] | None) -> Left | None:
    """What the hosts of a study that has ended have now, as far as they have said so; None where nothing is known."""
    # An earlier version, whose results did not say `proved`, kept what hosts said in the log alone.
    if not hosts or "proved" not in (result or {}):
        return None
    failed = [host for host in hosts if host["restored"] is False]
    leaving = [host for host in hosts if host["restored"] is None and host["doing"]]
    silent = [host for host in hosts if host["restored"] is None and not host["doing"]]
    told = [
        f"{text}: {_names(those)}."
        for text, those in (
            ("Own values not verified, needs attention (the log says what is wrong)", failed),
            ("Own values are being put back", leaving),
            ("Not heard of since it was tuned, so its lease puts its own values back", silent),
        )
        if those
    ]
    return Left(" ".join(told) or "Every host has its own values back, verified.", needs_attention=bool(failed))


def _names(hosts: Sequence[Mapping[str, Any]]) -> str:
    names = [str(host["name"]) for host in hosts[:6]]
    return ", ".join(names) + (f" and {len(hosts) - 6} more" if len(hosts) > 6 else "")


def gain(result: Mapping[str, Any]) -> str:
    """The improvement with its interval, as in "+58.0 % (95 % interval +51.2 % to +66.0 %)"."""
    return _unbroken(endings.gain(result, per_cent))


def _unbroken(text: str) -> str:
    """With figures and their signs on one line."""
    return text.replace(" % ", f"{SPACE}% ")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "probability": probability,
    "per_cent": per_cent,
    "duration": duration,
    "moment": moment,
    "phase": phase,
    "verdict": verdict,
    "state": state,
    "count": count,
    "sentence": sentence,
    "left_with": left_with,
    "gain": gain,
    "metrics": endings.metrics,
    "is_proved": lambda result: endings.is_proved(result or {}),
}
