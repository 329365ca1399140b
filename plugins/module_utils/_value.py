# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Values as text: what a user may write, and the one spelling in which the kernel keeps it.

`0x403`, `02003` and `1027` are one value. Whatever judges or compares values does so in the kernel's spelling.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel

NUMBERS, RANGES, MASK, TEXT = "numbers", "ranges", "mask", "text"

LONGEST = 4000  # the kernel reads at most one page of a write
_LONGEST_NUMBER = 20  # what is longer, the kernel refuses, be it of zeros
# As proc_get_long() in kernel/sysctl.c: a leading 0 means octal, 0x hexadecimal, and a plus sign is refused.
_NUMBER = re.compile(r"(?P<sign>-?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0(?P<octal>[0-7]+)|(?P<decimal>0|[1-9]\d*))")
_RANGE = re.compile(r"(\w+)(?:-(\w+))?")
_DIGITS_OF_A_MASK = re.compile(r"[0-9a-fA-F]+(,[0-9a-fA-F]+)*")

# The sysctls that are not vectors of numbers, though what they show may look like one: the present value does not tell.
# Patterns are names with slashes.
_KINDS: dict[str, tuple[str, ...]] = {
    RANGES: ("kernel/watchdog_cpumask", "net/ipv4/ip_local_reserved_ports", "net/ipv6/icmp/ratemask"),
    MASK: ("net/core/flow_limit_cpu_bitmap", "net/core/rps_default_mask"),
    TEXT: (
        "crypto/*",
        "dev/cdrom/info",
        "dev/parport/*",
        "fs/binfmt_misc/*",
        "kernel/core_pattern",
        "kernel/domainname",
        "kernel/hostname",
        "kernel/hotplug",
        "kernel/modprobe",
        "kernel/poweroff_cmd",
        "kernel/printk_devkmsg",
        "kernel/random/*id",
        "kernel/sched_domain/*/name",
        "kernel/seccomp/*",
        "net/core/default_qdisc",
        "net/core/netdev_rss_key",
        "net/ipv4/tcp_*congestion_control",
        "net/ipv4/tcp_available_ulp",
        "net/ipv4/tcp_fastopen_key",
        "net/ipv6/conf/*/stable_secret",
        "net/mptcp/path_manager",
        "net/mptcp/scheduler",
        "net/netfilter/nf_log/*",
        "net/sctp/cookie_hmac_alg",
        "sunrpc/transports",
        "vm/numa_zonelist_order",
    ),
}
_SHOWN_IN_HEX = "sunrpc/*_debug"


def text_of(parameter: str, value: Any) -> str:
    """The value as the kernel keeps it, where that can be told beforehand; raises ValueError for what is none.

    >>> text_of("net.ipv4.tcp_fastopen", "0x403")
    '1027'
    """
    text = _written(parameter, value)
    if len(text) > LONGEST:
        raise ValueError(f"{parameter}: the value is longer than {LONGEST} characters")
    return kept(parameter, text)


def kept(parameter: str, text: str) -> str:
    """The kernel's own spelling of a value; the text as it is where it is none for this parameter."""
    return _SPELLINGS[kind_of(parameter)](parameter, text)


def stored(what: str, values: Any) -> dict[str, str]:
    """Values by parameter as a file of ours has them; raises TypeError or ValueError for anything else."""
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise TypeError(f"its {what} are not values")
    for parameter, value in values.items():
        _kernel.components(parameter)
        value.encode()
    return values


def kind_of(parameter: str) -> str:
    """NUMBERS, RANGES as in `5030,8080-8089`, MASK (hexadecimal) or TEXT.

    Of a sysctl that no list knows NUMBERS is said, which leaves as it is what does not consist of numbers.
    Settings outside /proc/sys are TEXT: some of their files read 010 as 8 and some as 10.
    """
    if not _kernel.is_sysctl(parameter):
        return TEXT
    path = "/".join(_kernel.components(parameter))
    return next((kind for kind, known in _KINDS.items() if any(fnmatchcase(path, one) for one in known)), NUMBERS)


def number(word: str) -> int | None:
    """A word as the kernel reads a number, None if it is none."""
    found = _NUMBER.fullmatch(word)
    if not found or len(word) > _LONGEST_NUMBER:
        return None
    size = next(int(found[base], radix) for base, radix in _BASES.items() if found[base] is not None)
    return -size if found["sign"] else size


def numbers(text: str) -> list[int] | None:
    """Every element of a vector, None if it is not one of numbers."""
    found = [number(word) for word in text.split()]
    return [one for one in found if one is not None] if found and None not in found else None


def ranges(text: str) -> list[tuple[int, int]] | None:
    """The ranges of a list of numbers, both ends included, sorted and merged; None if it is not one."""
    found = []
    for word in text.replace(",", " ").split():
        ends = _RANGE.fullmatch(word)
        low = number(ends[1]) if ends else None
        high = number(ends[2]) if ends and ends[2] else low
        if low is None or high is None or low > high:
            return None
        found.append((low, high))
    merged: list[tuple[int, int]] = []
    for low, high in sorted(found):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return merged


def is_mask(text: str) -> bool:
    return _DIGITS_OF_A_MASK.fullmatch(text) is not None


def as_wide_as(shown: str, parameter: str, text: str) -> str:
    """A mask with as many digits as the kernel shows, one for every four CPUs; all else as it is."""
    if kind_of(parameter) != MASK or not is_mask(text):
        return text
    digits = text.replace(",", "").zfill(len(shown.replace(",", "")))
    at = range(len(digits), 0, -8)
    return ",".join(reversed([digits[max(end - 8, 0) : end] for end in at]))


def _written(parameter: str, value: Any) -> str:
    """The user's value in one line, single spaces between elements."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError(f"{parameter}: an empty list is not a value")
        return " ".join(_written(parameter, element) for element in value)
    if isinstance(value, bool):
        raise ValueError(
            f"{parameter}: {str(value).lower()} is not a value, write 1 or 0 "
            "(YAML reads yes, no, on and off as booleans too)"
        )
    if isinstance(value, float):
        if not math.isfinite(value) or value != int(value):
            raise ValueError(f"{parameter}: {value} is not a whole number")
        value = int(value)
    if not isinstance(value, (int, str)):
        raise ValueError(f"{parameter}: {value!r} is not a number, a string or a list of these")
    text = re.sub("[ \t]+", " ", str(value).strip())
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{parameter}: {text!r} has characters which are not printable ASCII")
    return text


def _kept_numbers(parameter: str, text: str) -> str:
    found = numbers(text)
    if found is None:
        return text
    if fnmatchcase("/".join(_kernel.components(parameter)), _SHOWN_IN_HEX):
        return " ".join(f"{one:#06x}" for one in found)
    return " ".join(map(str, found))


def _kept_ranges(dummy: str, text: str) -> str:
    found = ranges(text)
    return text if found is None else ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def _kept_mask(dummy: str, text: str) -> str:
    return text.replace(",", "").lstrip("0").lower() or "0" if is_mask(text) else text


_BASES = {"hex": 16, "octal": 8, "decimal": 10}
_SPELLINGS: dict[str, Callable[[str, str], str]] = {
    NUMBERS: _kept_numbers,
    RANGES: _kept_ranges,
    MASK: _kept_mask,
    TEXT: lambda dummy, text: text,
}
