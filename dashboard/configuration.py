# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Configurations for comparison: the axes of the search space, and changes from the original values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..plugins.plugin_utils._outcome import at_boot
from ..plugins.plugin_utils._outcome.basis import basis
from ..plugins.plugin_utils._outcome.filters import names
from .formatting import number, per_cent

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """One dimension of the search space: a parameter, or an element of a vector."""

    param: str
    element: int | None
    low: float
    high: float
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.param if self.element is None else f"{self.param}[{self.element}]"

    def value(self, values: Values) -> float | str | None:
        """The value of a configuration on this axis; None if it has none that fits."""
        text = str(values.get(self.param, ""))
        if self.choices:
            return text or None
        try:
            found = float(text.split()[self.element or 0])
        except (ValueError, IndexError):
            return None
        return found if math.isfinite(found) else None

    def position(self, values: Values) -> float | None:
        """The value scaled to [0, 1] by the range of the axis."""
        value = self.value(values)
        if value is None:
            return None
        if isinstance(value, str):
            return self.choices.index(value) / max(len(self.choices) - 1, 1) if value in self.choices else None
        low, high = self.low, self.high
        if self.log and low > 0:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    @property
    def ends(self) -> tuple[str, str]:
        return (self.choices[0], self.choices[-1]) if self.choices else (number(self.low), number(self.high))


def axes(study: Mapping[str, Any], tried: Sequence[Values] = ()) -> list[Axis]:
    """The axes of a study's search space; for parameters without a range (from a preset), of the `tried` values."""
    found = [axis for entry in study.get("action_space") or () for axis in _axes_of(entry)]
    known = {axis.param for axis in found}
    extra = dict.fromkeys(param for values in tried for param in values if param not in known)
    return found + [axis for param in extra for axis in _axes_of_values(param, [v[param] for v in tried if param in v])]


def _axes_of(entry: Any) -> list[Axis]:
    if not isinstance(entry, dict) or not isinstance(entry.get("param"), str):
        return []
    param = entry["param"]
    if isinstance(entry.get("choices"), list):
        return [Axis(param, None, 0, 1, choices=tuple(map(str, entry["choices"])))]
    if entry.get("type") == "bool":
        return [Axis(param, None, 0, 1, choices=("0", "1"))]
    elements = entry["elements"] if isinstance(entry.get("elements"), list) else [entry]
    return [
        Axis(param, place if len(elements) > 1 else None, element["min"], element["max"], bool(element.get("log")))
        for place, element in enumerate(elements)
        if isinstance(element, dict)
        and isinstance(element.get("min"), int | float)
        and isinstance(element.get("max"), int | float)
    ]


def _axes_of_values(param: str, values: list[Any]) -> list[Axis]:
    words = [str(value).split() for value in values]
    try:
        columns = list(zip(*[[float(word) for word in row] for row in words], strict=True))
    except ValueError:
        return [Axis(param, None, 0, 1, choices=tuple(sorted({str(value) for value in values})))]
    found = []
    for place, column in enumerate(columns):
        low, high = min(column), max(column)
        if high > low:
            found.append(Axis(param, place if len(columns) > 1 else None, low, high, low > 0 and high / low > 100))
    return found


@dataclass(frozen=True)
class Change:
    """A parameter's original and new value. basis: what that rests on, a line each; empty while the study runs."""

    param: str
    description: str
    original: str
    value: str
    change: str
    range: str
    basis: Sequence[str]

    @property
    def differs(self) -> bool:
        return self.original != self.value


def changes(
    study: Mapping[str, Any], originals: Mapping[str, Values], values: Values, known: Sequence[Mapping[str, Any]] = ()
) -> list[Change]:
    """study: the study file's content. originals: the original values by host. known: `parameters` of the result."""
    rests_on = {each["param"]: basis(each, per_cent) for each in known}
    described = {e["param"]: e for e in study.get("action_space") or () if isinstance(e, dict) and "param" in e}
    ranges: dict[str, list[str]] = {}
    for axis in axes(study):
        text = ", ".join(axis.choices) if axis.choices else " to ".join(axis.ends)
        ranges.setdefault(axis.param, []).append(text)
    return [
        Change(
            param,
            str(described.get(param, {}).get("description") or ""),
            original := _original(param, originals),
            new := " ".join(str(value).split()),
            _difference(original, new),
            "; ".join(ranges.get(param, [])),
            rests_on.get(param, ()),
        )
        for param, value in values.items()
    ]


def _original(param: str, originals: Mapping[str, Values]) -> str:
    hosts: dict[str, list[str]] = {}
    for host, values in originals.items():
        if param in values:
            hosts.setdefault(" ".join(str(values[param]).split()), []).append(host)
    if len(hosts) <= 1:
        return next(iter(hosts), "unknown")
    if len(hosts) > 3:
        return f"{len(hosts)} different values on {sum(map(len, hosts.values()))} hosts"
    return ", ".join(
        f"{value} ({', '.join(names) if len(names) <= 3 else f'{len(names)} hosts'})" for value, names in hosts.items()
    )


def _difference(original: str, new: str) -> str:
    """Relative change for display: per cent, factor or "unchanged"."""
    if original == new:
        return "unchanged"
    before, after = _numbers(original), _numbers(new)
    if before is None or after is None or len(before) != len(after):
        return "changed"
    parts = [_ratio(b, a) for b, a in zip(before, after, strict=True)]
    return ", ".join("=" if part == "unchanged" else part for part in parts)


def _ratio(before: float, after: float) -> str:
    if before == after:
        return "unchanged"
    if before <= 0 or after <= 0:
        return f"{number(before)} to {number(after)}"
    ratio = after / before
    if 0.5 < ratio < 2:
        return per_cent((ratio - 1) * 100)
    times = "\N{MULTIPLICATION SIGN}" if ratio >= 2 else "\N{DIVISION SIGN}"
    return f"{times}{max(ratio, 1 / ratio):,.3g}"


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return None


def as_yaml(values: Values) -> str:
    """For `values` of module autotune.kernel.sysctl."""
    return "".join(f"{_quoted(param)}: {_scalar(value)}\n" for param, value in values.items())


def as_sysctl(values: Values) -> str:
    """For a file in /etc/sysctl.d, with a comment on what such a file cannot set."""
    lines = [f"{param} = {' '.join(str(value).split())}\n" for param, value in values.items() if at_boot.is_set(param)]
    if others := at_boot.not_set(values):
        lines.append(
            f"# No file in sysctl.d can set {names(others)}: the learned role does, and module autotune.kernel.sysctl; "
            "apply them again after a reboot.\n"
        )
    return "".join(lines)


def _scalar(value: Any) -> str:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _quoted(str(value))


def _quoted(text: str) -> str:
    """Every JSON string is a YAML string; but with printable text as it is, as YAML joins no pairs of escapes."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def best_of(trials: Iterable[Any]) -> Any | None:
    """The training trial with the best performance."""
    trained = [t for t in trials if t.phase == "train" and t.performance is not None]
    return max(trained, key=lambda t: t.performance, default=None)


def best_values(result: Mapping[str, Any] | None, leader: Any | None) -> Mapping[str, Any] | None:
    """The learned values; before there are any, those of the best training trial."""
    return (result or {}).get("best_config") or (leader.requested if leader else None)
