# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Why a value cannot be set: found before it is written, or explained once the kernel has refused it."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Collection

from ansible_collections.autotune.kernel.plugins.module_utils import _denylist, _kernel, _side_effects, _value
from ansible_collections.autotune.kernel.plugins.module_utils._change import Change

_PLAIN = re.compile(r"-?(0|[1-9]\d*)( -?(0|[1-9]\d*))*")


def fault_of(parameter: str, value: str, allow_unsafe: Collection[str]) -> Change | str:
    """The fault of one value by itself, or the value found."""
    reason = _denylist.denied_because(parameter, value)
    if reason and parameter not in allow_unsafe:
        return Change(
            "denied", value, said=f"{parameter} is denied because {reason} (name it in allow_unsafe if you mean it)"
        )
    if not _kernel.exists(parameter):
        return Change("missing", value, said=f"{parameter} {missing(parameter)}")
    why_not = _kernel.why_not_writable(parameter)
    try:
        before = _kernel.read(parameter)
    except OSError as error:
        reason = why_not or os.strerror(error.errno or 0)
        said = f"{parameter} cannot be read, so it could not be put back: {reason}"
        return Change("rejected", value, said=said)
    if why_not and value != before:
        return Change("read_only", value, before, before, f"{parameter} cannot be written: {why_not}")
    if value != before and (names := _side_effects.unnameable(parameter)):
        said = f"{parameter} also changes interface {names[0]}, whose name cannot be written here to put it back"
        return Change("rejected", value, before, before, said)
    misfit = _misfit(parameter, value, before)
    return Change("rejected", value, before, before, misfit) if misfit else before


def explain(parameter: str, value: str, error: OSError) -> str:
    """What the kernel's refusal of a value means."""
    said = f"{parameter}: the kernel refused {value!r} ({os.strerror(error.errno or 0)})"
    if parameter == "net.ipv4.tcp_congestion_control":
        which = "allowed" if error.errno in (errno.EPERM, errno.EACCES) else "available"
        choices = _kernel.read_or_none(f"net.ipv4.tcp_{which}_congestion_control")
        return f"{said}: net.ipv4.tcp_{which}_congestion_control here is {choices!r}"
    if error.errno == errno.EINVAL:
        return f"{said}: out of its range, or in conflict with another value"
    return said


def missing(parameter: str) -> str:
    """That the parameter does not exist here, and why, or which one may be meant."""
    return f"does not exist here{_why_missing(parameter)}"


def _misfit(parameter: str, value: str, before: str) -> str | None:
    kind = _value.kind_of(parameter)
    if kind == _value.RANGES and _value.ranges(value) is None:
        return f"{parameter} takes numbers and ranges, as 5030,8080-8089, not {value!r}"
    if kind == _value.MASK and not _value.is_mask(value):
        return f"{parameter} takes a hexadecimal mask of CPUs, as f, not {value!r}"
    found = _value.numbers(before)
    if found is None or (kind != _value.NUMBERS and _kernel.is_sysctl(parameter)):
        return None
    expected, given = len(found), len(value.split())
    if not _kernel.is_sysctl(parameter) and not _PLAIN.fullmatch(value):
        # Some of these files read 010 as 8, others as 10, and others refuse 0x10.
        return f"{parameter} takes {_whole_numbers(expected)}, decimal and without leading zeros, not {value!r}"
    if _value.numbers(value) is None:
        return f"{parameter} takes {_whole_numbers(expected)}, not {value!r}"
    # The kernel would take a shorter vector and set only its first elements.
    return f"{parameter} takes {_whole_numbers(expected)}, {value!r} has {given}" if expected != given else None


def _whole_numbers(count: int) -> str:
    return "one whole number" if count == 1 else f"{count} whole numbers"


def _why_missing(parameter: str) -> str:
    if parameter.startswith("kernel.sched_"):
        return (
            ": scheduler settings moved to /sys/kernel/debug/sched in Linux 5.13 (here sched.*), and some went in 6.6"
        )
    if reason := _kernel.why_missing(parameter):
        return f": {reason}"
    if meant := _with_dotted_interface(parameter):
        return f": if the interface's name has dots, write {meant}"
    folder, name = os.path.split("/".join(_kernel.components(parameter)))
    beside = [os.path.basename(path) for path in _kernel.kind_of(parameter).names() if os.path.dirname(path) == folder]
    if similar := difflib.get_close_matches(name, beside, n=1, cutoff=0.8):
        return f": did you mean {_kernel.canonical_name(f'{folder}/{similar[0]}')}?"
    if parameter.startswith("net.") and not _kernel.in_initial_network_namespace():
        return ": it is not part of this network namespace, or needs a kernel module"
    return ": this kernel lacks it, or it needs a kernel module to be loaded"


def _with_dotted_interface(parameter: str) -> str | None:
    """net.ipv4.conf.eth0.100.rp_filter, which names the folder 100 below eth0, as net/ipv4/conf/eth0.100/rp_filter."""
    parts = _kernel.components(parameter)
    if len(parts) < 6 or parts[0] != "net" or parts[2] not in ("conf", "neigh"):
        return None
    return "/".join([*parts[:3], ".".join(parts[3:-1]), parts[-1]])
