# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Numbers and untrusted text, formatted for a terminal, a YAML comment and Markdown.

Descriptions, reasons and host names come from a study or an inventory, and must stay data wherever they are written.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable

from .._plain import plain_line
from .._proof.evidence import Contribution, GuardBenchmarkOutcome, GuardOutcome, Interval
from .._trial.trial import phase_name
from . import at_boot, verdict
from . import basis as bases
from .result import Change, Result


def one_line(text: object) -> str:
    """The text on one line, of any length; characters that move a cursor are escaped."""
    return plain_line(" ".join(str(text).split()), sys.maxsize)


def comment(text: object, indent: int = 0) -> str:
    """The text as a wrapped YAML comment."""
    prefix = " " * indent + "# "
    return "\n".join(prefix + line for line in textwrap.wrap(one_line(text), 112 - indent) or [""]).rstrip()


def items(texts: Iterable[object], indent: int = 0) -> list[str]:
    """The texts as items of a list, wrapped."""
    wrap = textwrap.TextWrapper(112, " " * indent + "- ", " " * indent + "  ", break_on_hyphens=False)
    return [line for text in texts for line in wrap.wrap(one_line(text))]


def markdown(text: object) -> str:
    """The text escaped for Markdown, including its tables."""
    return re.sub(r"([\\`*_{}\[\]<>|#~!&])", r"\\\1", one_line(text))


def number(value: float | None) -> str:
    """Four significant digits; an exponent only for very large and very small numbers."""
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


def interval(limits: Interval | None) -> str:
    return "-" if limits is None else f"{per_cent(limits[0])} to {per_cent(limits[1])}"


def gain(result: Result) -> str:
    """The improvement and its interval: "+58.0 % (95 % interval +51.2 % to +66.0 %)"."""
    return verdict.gain(vars(result), per_cent)


def metrics(result: Result) -> str:
    """What the improvement is about: the metric, or all objectives."""
    return one_line(verdict.metrics(_raw(result)))


def objectives(result: Result) -> list[str]:
    """The change of each: "p99_ms -20.0 % (positive is better), minimise, weight 1"; empty for a single metric."""
    return [
        f"{one_line(each.metric)} {per_cent(each.change)} (positive is better), {each.direction}, "
        f"weight {number(each.weight)}"
        for each in result.objectives
        if each.change is not None
    ]


def _raw(result: Result) -> dict[str, object]:
    """What the texts of a verdict need, in the form of result.json."""
    nested = {name: [vars(each) for each in getattr(result, name)] for name in ("objectives", "guard_benchmarks")}
    return {**vars(result), **nested}


def ending(result: Result) -> verdict.Ending:
    """The verdict and its consequence, on one line each."""
    found = verdict.ending(_raw(result), per_cent)
    return verdict.Ending(one_line(found.heading), one_line(found.text))


def carry_over(result: Result) -> str:
    """What the proof found out about carry-over; empty if it was not tested."""
    return verdict.carry_over([vars(test) for test in result.carry_over], per_cent)


def unrecovered(result: Result) -> list[str]:
    """A sentence for each host that did not get its performance back."""
    hosts = {name: {"recovery": host.recovery and vars(host.recovery)} for name, host in result.per_host.items()}
    return [one_line(text) for text in verdict.unrecovered({"per_host": hosts}, per_cent)]


def limit(guard: GuardOutcome | GuardBenchmarkOutcome) -> str:
    """As the change is shown: "-4.8 %"."""
    return per_cent(verdict.limit(vars(guard)))


def non_inferiority(guard: GuardOutcome | GuardBenchmarkOutcome) -> str:
    """ "shown", "not shown" or "not measured"."""
    return verdict.non_inferiority(vars(guard))


def contribution(of: Change | Contribution) -> str:
    """What a parameter contributes: "+12.0 % (+8.1 % to +16.2 %)"; empty if unknown."""
    if of.contribution is None:
        return ""
    jointly = ", jointly" if isinstance(of, Change) and of.together_with else ""
    return per_cent(of.contribution) + (f" ({interval(of.interval)})" if of.interval else "") + jointly


def basis(change: Change) -> list[str]:
    """What the value rests on, a line each."""
    return [one_line(line) for line in bases.basis(change.model_dump(), per_cent)]


def names(parameters: Iterable[str]) -> str:
    return ", ".join(one_line(parameter) for parameter in parameters)


def not_at_boot(result: Result) -> list[str]:
    """The learned parameters that the role does not keep across reboots."""
    return at_boot.not_set(result.best_config or ())


def original(change: Change) -> str:
    """A parameter's original value; where hosts differ, each value with its hosts."""
    hosts_by_value: dict[str, list[str]] = {}
    for host, value in change.original.items():
        hosts_by_value.setdefault(one_line(value), []).append(one_line(host))
    if len(hosts_by_value) <= 1:
        return next(iter(hosts_by_value), "unknown")
    return ", ".join(f"{value} ({', '.join(hosts)})" for value, hosts in hosts_by_value.items())


FILTERS = {
    each.__name__: each
    for each in (
        one_line,
        comment,
        items,
        markdown,
        number,
        count,
        per_cent,
        interval,
        gain,
        metrics,
        objectives,
        carry_over,
        unrecovered,
        limit,
        non_inferiority,
        contribution,
        basis,
        names,
        original,
        not_at_boot,
        phase_name,
    )
}
