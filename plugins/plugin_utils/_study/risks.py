# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which risks of the catalogue a study runs (see _catalogue_risks.py), and how a preset's ranges avoid them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import risks
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Setting
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_risk import Risk

from .host_facts import HostFacts
from .parameters import Parameter, kernel_text
from .space import Value

Originals = Mapping[str, Mapping[str, Value]]


def risks_tried(parameters: Sequence[Parameter], originals: Originals) -> list[str]:
    """A notice for each risk that some value of these ranges runs on some host. originals: each host's values."""
    found = []
    for parameter in parameters:
        texts = {kernel_text(own[parameter.param]) for own in originals.values() if parameter.param in own}
        for risk in risks(parameter.param):
            if run := sorted(text for text in texts if _tries(parameter, risk, text)):
                found.append(
                    f"{parameter.param}: the study tries {risk.condition(run[0])}, at a risk: {risk.warning} "
                    f"({risk.source})"
                )
    return found


def _tries(parameter: Parameter, risk: Risk, original: str) -> bool:
    values = parameter.extremes()
    if len(axes := parameter.axes()) == 1 and not axes[0].choices:
        values = [*values, *(value for value in risk.values if axes[0].low <= int(value) <= axes[0].high)]
    return any(risk.applies(value, original) for value in values)


def risks_of(parameter: str, value: Value, originals: Originals) -> list[Risk]:
    """The risks that a value runs on some host."""
    texts = [kernel_text(own[parameter]) for own in originals.values() if parameter in own]
    return [risk for risk in risks(parameter) if any(risk.applies(kernel_text(value), text) for text in texts)]


def without_risk(setting: Setting, safe: Sequence[Any], hosts: Sequence[HostFacts]) -> list[Any] | None:
    """The values of `safe`, which has the form of safe_range(), that run no risk on any of the hosts.

    None if that cannot be told, because a host's original value is unknown. Without hosts, the kernel's default counts
    as the original value.
    """
    found = risks(setting.name)
    originals = [host.original.get(setting.name, "") for host in hosts] or [setting.default]
    if any(risk.needs_original for risk in found) and not all(originals):
        return None
    if setting.choices:
        return [one for one in safe if not any(risk.applies(str(one), own) for risk in found for own in originals)]
    ranges = []
    for element, ends in enumerate(safe):
        low, high = ends
        for risk in (risk for risk in found if risk.element == element):
            low, high = risk.narrow(low, high, originals)
        ranges.append([low, high])
    return ranges
