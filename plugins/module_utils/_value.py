# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Values as text: what a user may write, and the spelling in which the kernel shows it.

`0x403`, `02003` and `1027` are the same value. Values are checked and compared in the kernel's spelling only.
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
_LONGEST_NUMBER = 20  # the kernel refuses longer ones, even if they consist of zeros
# As in proc_get_long() of kernel/sysctl.c: a leading 0 means octal, 0x hexadecimal, and a plus sign is refused.
_NUMBER = re.compile(r"(?P<sign>-?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0(?P<octal>[0-7]+)|(?P<decimal>0|[1-9]\d*))")
_RANGE = re.compile(r"(\w+)(?:-(\w+))?")
_DIGITS_OF_A_MASK = re.compile(r"[0-9a-fA-F]+(,[0-9a-fA-F]+)*")

# Sysctls that are not vectors of numbers, although their content may look like one. Patterns are names with slashes.
_FORMS: dict[str, tuple[str, ...]] = {
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
    """The value in the kernel's spelling, as far as that can be predicted; raises ValueError if it is malformed.

    >>> text_of("net.ipv4.tcp_fastopen", "0x403")
    '1027'
    """
    text = _as_text(parameter, value)
    if len(text) > LONGEST:
        raise ValueError(f"{parameter}: the value is longer than {LONGEST} characters")
    return normalized(parameter, text)


def normalized(parameter: str, text: str) -> str:
    """A value in the kernel's spelling; the text unchanged if it is malformed for this parameter."""
    return _SPELLINGS[form_of(parameter)](parameter, text)


def checked(what: str, values: Any) -> dict[str, str]:
    """Values by parameter from a journal or record; raises TypeError or ValueError for anything else."""
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise TypeError(f"{what}: not values by parameter")
    for parameter, value in values.items():
        _kernel.components(parameter)
        value.encode()
    return values


def form_of(parameter: str) -> str:
    """NUMBERS, RANGES as in `5030,8080-8089`, MASK (hexadecimal) or TEXT.

    Unlisted sysctls are NUMBERS, which leaves text that does not consist of numbers unchanged. Settings outside
    /proc/sys are TEXT: some of their files read 010 as 8 and some as 10.
    """
    if not _kernel.is_sysctl(parameter):
        return TEXT
    path = "/".join(_kernel.components(parameter))
    return next((form for form, known in _FORMS.items() if any(fnmatchcase(path, one) for one in known)), NUMBERS)


def number(word: str) -> int | None:
    """A word as the kernel reads a number, or None if it is not a number."""
    found = _NUMBER.fullmatch(word)
    if not found or len(word) > _LONGEST_NUMBER:
        return None
    size = next(int(found[base], radix) for base, radix in _BASES.items() if found[base] is not None)
    return -size if found["sign"] else size


def numbers(text: str) -> list[int] | None:
    """The elements of a vector, or None if they are not numbers."""
    found = [number(word) for word in text.split()]
    return [one for one in found if one is not None] if found and None not in found else None


def ranges(text: str) -> list[tuple[int, int]] | None:
    """The ranges of a list such as `5030,8080-8089`, ends included, sorted and merged; None for other text."""
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
    """A mask with as many digits as the kernel shows, one for four CPUs; other values unchanged."""
    if form_of(parameter) != MASK or not is_mask(text):
        return text
    digits = text.replace(",", "").zfill(len(shown.replace(",", "")))
    at = range(len(digits), 0, -8)
    return ",".join(reversed([digits[max(end - 8, 0) : end] for end in at]))


def _as_text(parameter: str, value: Any) -> str:
    """The user's value in one line, with single spaces between elements."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError(f"{parameter}: the list is empty")
        return " ".join(_as_text(parameter, element) for element in value)
    if isinstance(value, bool):
        raise ValueError(
            f"{parameter}: {str(value).lower()} is a boolean; write 1 or 0 "
            "(YAML also reads yes, no, on and off as booleans)"
        )
    if isinstance(value, float):
        if not math.isfinite(value) or value != int(value):
            raise ValueError(f"{parameter}: {value} is not a whole number")
        value = int(value)
    if not isinstance(value, (int, str)):
        raise ValueError(f"{parameter}: {value!r} is not a number, a string or a list of these")
    text = re.sub("[ \t]+", " ", str(value).strip())
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{parameter}: {text!r} contains characters other than printable ASCII")
    return text


def _spell_numbers(parameter: str, text: str) -> str:
    found = numbers(text)
    if found is None:
        return text
    if fnmatchcase("/".join(_kernel.components(parameter)), _SHOWN_IN_HEX):
        return " ".join(f"{one:#06x}" for one in found)
    return " ".join(map(str, found))


def _spell_ranges(dummy: str, text: str) -> str:
    found = ranges(text)
    return text if found is None else ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def _spell_mask(dummy: str, text: str) -> str:
    return text.replace(",", "").lstrip("0").lower() or "0" if is_mask(text) else text


_BASES = {"hex": 16, "octal": 8, "decimal": 10}
_SPELLINGS: dict[str, Callable[[str, str], str]] = {
    NUMBERS: _spell_numbers,
    RANGES: _spell_ranges,
    MASK: _spell_mask,
    TEXT: lambda dummy, text: text,
}
