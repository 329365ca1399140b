# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Kernel parameters by name: sysctls, and other settings of the kernel under names of their own.

The registry KINDS says which kind of setting a name belongs to, by its first component. Everything else in this
collection reads and writes parameters by the functions here, whatever their kind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from ansible_collections.autotune.kernel.plugins.module_utils import _kind_sysctl
from ansible_collections.autotune.kernel.plugins.module_utils._kind import FileKind, Kind
from ansible_collections.autotune.kernel.plugins.module_utils._kind_block import BlockQueues
from ansible_collections.autotune.kernel.plugins.module_utils._kind_hugepage import HugePages
from ansible_collections.autotune.kernel.plugins.module_utils._kind_scheduler import Scheduler

SYSCTLS = _kind_sysctl.Sysctls()
# The other kinds, by prefix. No folder of /proc/sys has one of these names.
KINDS: dict[str, Kind] = {kind.prefix: kind for kind in (BlockQueues(), HugePages(), Scheduler())}

_COMPONENT = re.compile(r"[A-Za-z0-9_.:@+=,!-]+")  # /sys/block writes cciss/c0d0 with an exclamation mark
# The kernel permits nearly any byte in the name of an interface. Excluded is what shells, sysctl.d or YAML interpret.
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@+=,!#~()%^\x80-\U0010ffff-]+")
_SWAPPED = str.maketrans("./", "/.")


def components(parameter: str) -> list[str]:
    """The components of a parameter's name; raises ValueError if it is malformed.

    As in sysctl(8) the first separator decides: in `net.ipv4.conf.eth0/1.mtu` and in `net/ipv4/conf/eth0.1/mtu`
    the interface is eth0.1.
    """
    name = str(parameter)  # a study's mistake may be a list
    first = next((character for character in name if character in "./"), "")
    path = name if first == "/" else name.translate(_SWAPPED)
    parts = path.split("/")
    kind = KINDS.get(parts[0], SYSCTLS)
    is_malformed = len(parts) < kind.components or parts[0].startswith("-")
    if is_malformed or not all(_is_component(part, at, parts) for at, part in enumerate(parts)):
        hint = kind.how_to_write
        if name.startswith("-"):
            hint = "leave out the leading -, which is syntax of sysctl.d files"
        elif "*" in name:
            hint = "name each parameter, as patterns with * are syntax of sysctl.d files"
        raise ValueError(f"{parameter!r} is not the name of a kernel parameter: {hint}")
    return parts


def _is_component(part: str, at: int, parts: list[str]) -> bool:
    is_interface = at == 3 and parts[0] == "net" and parts[2] in ("conf", "neigh")
    allowed = _INTERFACE if is_interface else _COMPONENT
    return part not in (".", "..") and part.isprintable() and allowed.fullmatch(part) is not None


def canonical_name(parameter: str) -> str:
    """The one spelling by which a parameter is known: dots, or slashes if a component contains dots."""
    parts = components(parameter)
    return "/".join(parts) if any("." in part for part in parts) else ".".join(parts)


def kind_of(parameter: str) -> Kind:
    """The kind of setting; raises ValueError for a malformed name."""
    return KINDS.get(components(parameter)[0], SYSCTLS)


def is_sysctl(parameter: str) -> bool:
    """Whether the parameter is in /proc/sys; raises ValueError for a malformed name."""
    return kind_of(parameter) is SYSCTLS


def path_of(parameter: str) -> str | None:
    """The parameter's file, or None if it is not a file; raises ValueError for a malformed name."""
    return kind_of(parameter).path(components(parameter))


def names() -> Iterator[str]:
    """The names of all parameters of this host, with slashes; some may be malformed."""
    for kind in (SYSCTLS, *KINDS.values()):
        yield from kind.names()


def read(parameter: str) -> str:
    """The current value, with single spaces between its elements; raises OSError."""
    return kind_of(parameter).read(components(parameter))


def read_or_none(parameter: str) -> str | None:
    """The current value, or None if it cannot be read."""
    try:
        return read(parameter)
    except OSError:
        return None


def read_all(parameters: Iterable[str]) -> dict[str, str]:
    """The current values of those parameters that can be read."""
    values = ((parameter, read_or_none(parameter)) for parameter in parameters)
    return {parameter: value for parameter, value in values if value is not None}


def value_in(parameter: str, content: str) -> str:
    """The value that the content of the parameter's file shows."""
    kind = kind_of(parameter)
    return kind.value_in(content) if isinstance(kind, FileKind) else content


def write(parameter: str, text: str) -> None:
    """Set the value; raises OSError with the kernel's error."""
    kind_of(parameter).write(components(parameter), text)


def exists(parameter: str) -> bool:
    """Whether this kernel has the parameter (in this network namespace)."""
    return kind_of(parameter).exists(components(parameter))


def is_world_readable(parameter: str) -> bool:
    """Whether any account may read the value; raises OSError."""
    return kind_of(parameter).is_world_readable(components(parameter))


def choices(parameter: str) -> list[str] | None:
    """The values that the kernel offers, or None if it lists none; raises OSError."""
    return kind_of(parameter).choices(components(parameter))


def why_missing(parameter: str) -> str | None:
    """Why the parameter does not exist here, or None if that is unknown."""
    return kind_of(parameter).why_missing(components(parameter))


def why_not_writable(parameter: str) -> str | None:
    """What prevents this process from writing the parameter, or None. Nothing is written."""
    return kind_of(parameter).why_not_writable(components(parameter))


def side_effects(parts: list[str]) -> list[str]:
    """The names, with slashes, of what writing the parameter of these components changes directly."""
    return KINDS.get(parts[0], SYSCTLS).side_effects(parts)


def is_transient(parameter: str) -> bool:
    """Whether the parameter may disappear while others are set."""
    return kind_of(parameter).is_transient(components(parameter))


def command_to_set(parameter: str, text: str) -> str:
    """The shell command by which an administrator sets the parameter."""
    return kind_of(parameter).command(components(parameter), text)


def unit_properties() -> list[str]:
    """What all kinds need of the watchdog's systemd unit."""
    return [name for kind in KINDS.values() for name in kind.unit_properties]


def boot_id() -> str:
    """Identifies this boot of this kernel."""
    return read("kernel.random.boot_id")


def network_namespace() -> int:
    """The inode of this thread's network namespace, on which net.* depends."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def in_initial_network_namespace() -> bool:
    """Whether net.* is the machine's own here."""
    return _kind_sysctl.in_initial_network_namespace()
