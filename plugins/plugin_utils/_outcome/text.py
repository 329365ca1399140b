# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Figures and foreign texts, made fit for a terminal, a YAML comment and Markdown.

Descriptions, reasons and host names come from a study or an inventory: they are data, whatever they look like.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from . import verdict
from .evidence import Share
from .result import Change, Result
from .verdict import Ending

# What a verdict is told from: a result's evidence can be long.
_SAID = {"verdict", "proved", "metric", "objectives", "improvement", "interval", "confidence", "pairs"}


def one_line(text: object) -> str:
    """The text on one line: what ends a line or moves a cursor, in YAML, Python or a terminal, is a blank."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def comment(text: object, indent: int = 0) -> str:
    """A YAML comment, wrapped, of which no line can be anything else."""
    prefix = " " * indent + "# "
    return "\n".join(prefix + line for line in textwrap.wrap(one_line(text), 112 - indent) or [""]).rstrip()


def markdown(text: object) -> str:
    """The text as Markdown shows it literally, also in a table."""
    return re.sub(r"([\\`*_{}\[\]<>|#~!&])", r"\\\1", one_line(text))


def number(value: float | None) -> str:
    """Four significant digits, and no exponent where people would not write one."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value)}"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def count(how_many: int, noun: str) -> str:
    """ "1 host", "2 hosts"."""
    return f"{how_many} {noun}{'' if how_many == 1 else 's'}"


def per_cent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f} %"


def gain(result: Result) -> str:
    """The improvement with its interval, as in "+58.0 % (95 % interval +51.2 % to +66.0 %)"."""
    return verdict.gain(vars(result), per_cent)


def ending(result: Result) -> Ending:
    """The verdict and what follows from it, on one line each."""
    said = verdict.ending(result.model_dump(mode="json", include=_SAID), per_cent)
    return Ending(one_line(said.heading), one_line(said.text))


def contributes(change: Change | Share) -> str:
    """What a parameter's value contributes, as in "+12.0 % (+8.1 % to +16.2 %)"; nothing where that is not known."""
    if change.share is None:
        return ""
    return per_cent(change.share) + (
        f" ({per_cent(change.interval[0])} to {per_cent(change.interval[1])})" if change.interval else ""
    )


def names(parameters: Iterable[str]) -> str:
    return ", ".join(one_line(parameter) for parameter in parameters)


def found(change: Change) -> str:
    """What a parameter was before tuning; where hosts differ, each value with its hosts."""
    hosts_by_value: dict[str, list[str]] = {}
    for host, value in change.from_.items():
        hosts_by_value.setdefault(one_line(value), []).append(one_line(host))
    if len(hosts_by_value) <= 1:
        return next(iter(hosts_by_value), "unknown")
    return ", ".join(f"{value} ({', '.join(hosts)})" for value, hosts in hosts_by_value.items())


def version_of(result: Result, name: str) -> str | None:
    """A version the run has noted, if it reads like one."""
    version = result.versions.get(name, "")
    return version if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]*", version) else None
