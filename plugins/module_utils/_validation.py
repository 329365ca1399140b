# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Why a value cannot be set: checked before anything is written, or explained once the kernel has refused it."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Collection, Mapping

from ansible_collections.autotune.kernel.plugins.module_utils import _coupling, _denylist, _kernel, _kind, _value
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change

_DECIMAL = re.compile(r"-?(0|[1-9]\d*)( -?(0|[1-9]\d*))*")


def fault_of(parameter: str, value: str, allow_unsafe: Collection[str]) -> Change | str:
    """The fault of one value by itself, or else the parameter's present value."""
    reason = _denylist.denied_because(parameter, value)
    if reason and parameter not in allow_unsafe:
        message = f"{parameter} is denied because {reason} (to set it anyway, add it to allow_unsafe)"
        return Change("denied", value, message=message)
    if not _kernel.exists(parameter):
        return Change("missing", value, message=f"{parameter} {missing(parameter)}")
    why_not = _kernel.why_not_writable(parameter)
    try:
        before = _kernel.read(parameter)
    except OSError as error:
        reason = why_not or os.strerror(error.errno or 0)
        message = f"{parameter} cannot be read, so it could not be restored: {reason}"
        return Change("rejected", value, message=message)
    if why_not and value != before:
        return Change("read_only", value, before, before, f"{parameter} cannot be written: {why_not}")
    if value != before and (names := _coupling.unnameable(parameter)):
        message = (
            f"{parameter} also changes interface {names[0]}, whose name is not supported, so it could not be restored"
        )
        return Change("rejected", value, before, before, message)
    misfit = _misfit(parameter, value, before)
    return Change("rejected", value, before, before, misfit) if misfit else before


def beyond_this_machine(values: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Which values this machine's memory or CPUs do not allow, and what helps; own: the host's own values.

    A value that was learned on a larger machine, or typed with a digit too many, can make this one unreachable.
    """
    # Imported here because loading them takes time, and ending a lease does not need them.
    from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue, _machine

    machine = _machine.read()
    found = {name: _catalogue.beyond(name, value, own[name], machine) for name, value in values.items()}
    return {
        name: f"{why} on this machine (to set it anyway, add {name} to allow_unsafe)"
        for name, why in found.items()
        if why
    }


def explain(parameter: str, value: str, error: OSError) -> str:
    """What the kernel's refusal of a value means."""
    message = f"{parameter}: the kernel refused {value!r} ({os.strerror(error.errno or 0)})"
    if parameter == "net.ipv4.tcp_congestion_control":
        which = "allowed" if error.errno in (errno.EPERM, errno.EACCES) else "available"
        choices = _kernel.read_or_none(f"net.ipv4.tcp_{which}_congestion_control")
        return f"{message}: net.ipv4.tcp_{which}_congestion_control is {choices!r}"
    if error.errno == errno.EINVAL:
        return f"{message}: it is out of range or conflicts with another value"
    return message


def missing(parameter: str) -> str:
    """That the parameter does not exist here, and why, or which one was probably meant."""
    return f"does not exist here: {_why_missing(parameter)}"


def _misfit(parameter: str, value: str, before: str) -> str | None:
    form = _value.form_of(parameter)
    if form == _value.RANGES and _value.ranges(value) is None:
        return f"{parameter} takes numbers and ranges, such as 5030,8080-8089, not {value!r}"
    if form == _value.MASK and not _value.is_mask(value):
        return f"{parameter} takes a hexadecimal CPU mask, such as f, not {value!r}"
    is_sysctl = _kernel.is_sysctl(parameter)
    numbers = _value.numbers(before)
    if numbers is None or (form != _value.NUMBERS and is_sysctl):
        return None
    count, given = len(numbers), len(value.split())
    expected = "one whole number" if count == 1 else f"{count} whole numbers"
    if not is_sysctl and not _DECIMAL.fullmatch(value):
        # Some of these files read 010 as 8, others as 10, and others refuse 0x10.
        return f"{parameter} takes {expected}, decimal and without leading zeros, not {value!r}"
    if _value.numbers(value) is None:
        return f"{parameter} takes {expected}, not {value!r}"
    # The kernel accepts a shorter vector and sets only its first elements.
    return f"{parameter} takes {expected}, {value!r} has {given}" if count != given else None


def _why_missing(parameter: str) -> str:
    if parameter.startswith("kernel.sched_"):
        return "scheduler settings moved to /sys/kernel/debug/sched in Linux 5.13 (here sched.*), and 6.6 removed some"
    if reason := _kernel.why_missing(parameter):
        return reason
    parts = _kernel.components(parameter)
    if len(parts) > 5 and parts[0] == "net" and parts[2] in ("conf", "neigh"):
        # net.ipv4.conf.eth0.100.rp_filter means a folder 100 below eth0.
        return (
            f"if the interface's name contains dots, write {'/'.join([*parts[:3], '.'.join(parts[3:-1]), parts[-1]])}"
        )
    folder, name = os.path.split("/".join(parts))
    if similar := difflib.get_close_matches(name, _siblings(parameter, folder), n=1, cutoff=0.8):
        return f"did you mean {_kernel.canonical_name(f'{folder}/{similar[0]}')}?"
    return _by_the_catalogue(parameter)


def _siblings(parameter: str, folder: str) -> list[str]:
    """The last components of the settings that there are beside a parameter."""
    path = _kernel.path_of(parameter)
    if path is None:
        names = _kernel.kind_of(parameter).names()
        return [os.path.basename(name) for name in names if os.path.dirname(name) == folder]
    place = os.path.dirname(path)
    return [name for name in _kind.listed(place) if os.path.isfile(os.path.join(place, name))]


def _by_the_catalogue(parameter: str) -> str:
    # Imported here because loading it takes time, and trials call the module without needing it.
    from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue

    if parameter.startswith("net.") and not _kernel.in_initial_network_namespace():
        return "it does not belong to this network namespace, or needs a kernel module"
    setting = _catalogue.find(parameter)
    if setting and setting.until:
        return f"this kernel lacks it ({os.uname().release}; Linux {setting.until} removed it)"
    if setting and setting.since:
        return f"this kernel lacks it ({os.uname().release}; Linux {setting.since} introduced it)"
    return "this kernel lacks it, or a kernel module must be loaded first"
