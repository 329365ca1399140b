# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The catalogue of kernel settings that matter for performance: what each is, and which of its values are safe.

From the kernel's documentation and source. `Safe` means that the machine stays up, reachable and as secure as it was;
it may be slow. A setting that is not in the catalogue can be used, but nothing is known about it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Optional

from ansible_collections.autotune.kernel.plugins.module_utils import (
    _catalogue_kernel,
    _catalogue_net,
    _catalogue_sysfs,
    _catalogue_tcp,
    _catalogue_vm,
    _kernel,
)
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Limit, Machine, Setting, Share
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_risk import Risk
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_risks import RISKS

SYSCTLS = _catalogue_vm.SETTINGS + _catalogue_net.SETTINGS + _catalogue_tcp.SETTINGS + _catalogue_kernel.SETTINGS
OTHERS = _catalogue_sysfs.SETTINGS

_ENTRIES = {setting.name: setting for setting in SYSCTLS + OTHERS}
# No leading zeros: the kernel reads 010 as 8.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)")
# The same quantity under another name, which the catalogue does not list.
_SAME_AS = {
    "vm.nr_hugepages_mempolicy": "vm.nr_hugepages",
    "net.nf_conntrack_max": "net.netfilter.nf_conntrack_max",
}
_TOLERANCE = 0.1


def find(parameter: str) -> Optional[Setting]:
    """The entry of a parameter by its canonical name, or None; raises ValueError for a malformed name."""
    if parameter in _ENTRIES:
        return _ENTRIES[parameter]
    first, dummy, *rest = _kernel.components(parameter)
    return _ENTRIES.get(".".join([first, "*", *rest]))


def risks(parameter: str) -> tuple[Risk, ...]:
    """What the kernel's documentation warns of; raises ValueError for a malformed name."""
    setting = find(parameter)
    return RISKS.get(setting.name, ()) if setting else ()


def why_unsafe(parameter: str, text: str, machine: Machine) -> Optional[str]:
    """Why this value, as the kernel shows it, is unsafe on this machine; None if it is safe, or nothing is known.

    >>> why_unsafe("vm.swappiness", "300", SMALL)
    'vm.swappiness: 300 is not within the safe range 0 to 200'
    """
    setting = find(parameter)
    return None if setting is None else outside(parameter, text, setting, setting.safe_range(machine))


def beyond(parameter: str, text: str, own: str, machine: Machine) -> Optional[str]:
    """Why the value is farther out than this machine's memory or CPUs allow, and than the host's own; None if not.

    Only limits that follow from the machine count, and a tenth more does not matter: the kernel counts the memory that
    it has left, so hosts of one size differ. How fast a link is cannot be relied on: it may be down, or a virtual one.
    """
    setting = find(_SAME_AS.get(parameter, parameter))
    if setting is None or text in {value for value, dummy in setting.special}:
        return None
    numbers, owns = text.split(), own.split()
    if not len(numbers) == len(owns) == len(setting.ranges) or not all(map(_NUMBER.fullmatch, numbers + owns)):
        return None
    for at, one in enumerate(setting.ranges):
        number, own_number, (low, high) = int(numbers[at]), int(owns[at]), one.on(machine)
        is_high = _follows_from_machine(one.high) and number > max(high * (1 + _TOLERANCE), own_number)
        if is_high or (_follows_from_machine(one.low) and number < min(low * (1 - _TOLERANCE), own_number)):
            element = parameter if len(numbers) == 1 else f"{parameter}[{at}]"
            return f"{element}: {number} is not within the safe range {low} to {high}"
    return None


def _follows_from_machine(limit: Limit) -> bool:
    return isinstance(limit, Share) and limit.of != "link"


def outside(parameter: str, text: str, setting: Setting, safe: Sequence[Any], is_end: bool = False) -> Optional[str]:
    """Why the value is not one of `safe`, which has the form of the entry's safe_range(); None if it is.

    is_end: of a range. A special value may be safe by itself, while those between it and the safe range are not.
    """
    if not is_end and text in {value for value, meaning in setting.special if not meaning.endswith("denied")}:
        return None
    if setting.choices:
        return None if text in safe else f"{parameter}: {text} is not among the safe choices {', '.join(safe)}"
    numbers = text.split()
    if len(numbers) != len(safe) or not all(map(_NUMBER.fullmatch, numbers)):
        expected = "a whole number" if len(safe) == 1 else f"{len(safe)} whole numbers"
        return f"{parameter}: {text!r} is not {expected}"
    for at, number in enumerate(numbers):
        low, high = safe[at]
        if not low <= int(number) <= high:
            element = parameter if len(numbers) == 1 else f"{parameter}[{at}]"
            return f"{element}: {number} is not within the safe range {low} to {high}"
    return None
