# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Kernel parameters as files: their names, their values as text, reading and writing one of them."""

from __future__ import annotations

import errno
import math
import os
import re
from typing import Any

ROOT = "/proc/sys"

_COMPONENT = re.compile(r"[A-Za-z0-9_.:@+=,-]+")
_SWAPPED = str.maketrans("./", "/.")
_LONGEST_VALUE = 4000  # the kernel reads at most one page of a write


def components(parameter: str) -> list[str]:
    """The parts of a parameter's name; raises ValueError for a name that cannot be one.

    As in sysctl(8) the first separator decides: in `net.ipv4.conf.eth0/1.mtu` and in `net/ipv4/conf/eth0.1/mtu`
    the interface is eth0.1.
    """
    first = next((character for character in str(parameter) if character in "./"), "")
    path = parameter if first == "/" else str(parameter).translate(_SWAPPED)
    parts = path.split("/")
    if len(parts) < 2 or any(part in (".", "..") or not _COMPONENT.fullmatch(part) for part in parts):
        raise ValueError(
            f"{parameter!r} is not the name of a kernel parameter: "
            "write vm.swappiness, or net/ipv4/conf/eth0.1/mtu where a part has dots"
        )
    return parts


def canonical_name(parameter: str) -> str:
    """The one spelling by which a parameter is known: dots, or slashes where a part has dots itself."""
    parts = components(parameter)
    return "/".join(parts) if any("." in part for part in parts) else ".".join(parts)


def path_of(parameter: str) -> str:
    """The file of a parameter; raises ValueError for a bad name."""
    return os.path.join(ROOT, *components(parameter))


def text_of(parameter: str, value: Any) -> str:
    """A value as the kernel writes it, single spaces between elements; raises ValueError for what cannot be one."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError(f"{parameter}: an empty list is not a value")
        return " ".join(text_of(parameter, element) for element in value)
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
    if len(text) > _LONGEST_VALUE:
        raise ValueError(f"{parameter}: the value is longer than {_LONGEST_VALUE} characters")
    return text


def read(parameter: str) -> str:
    """The value now, single spaces between its elements; raises OSError."""
    with open(path_of(parameter), "rb", buffering=0) as file:
        return " ".join(file.readall().decode("utf-8", "replace").split())


def write(parameter: str, text: str) -> None:
    """Write a value in one system call, as the kernel wants it; raises OSError with what the kernel said."""
    descriptor = os.open(path_of(parameter), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode() + b"\n")
    finally:
        os.close(descriptor)


def exists(parameter: str) -> bool:
    """Whether this kernel has the parameter (in this network namespace)."""
    return os.path.isfile(path_of(parameter))


def why_not_writable(parameter: str) -> str | None:
    """What keeps this process from writing the parameter, or None; nothing is written."""
    try:
        os.close(os.open(path_of(parameter), os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EROFS:
            return "/proc/sys is read-only here, as in a container: tune the machine that runs it"
        if os.geteuid() != 0:
            return f"user id {os.geteuid()} may not write it: use become"
        is_inner = components(parameter)[0] == "net" and not in_initial_network_namespace()
        return f"the kernel does not let it be written {'in this network namespace' if is_inner else 'here'}"
    return None


def boot_id() -> str:
    """What tells one boot of one kernel from every other."""
    return read("kernel.random.boot_id")


def network_namespace() -> int:
    """The inode of this process's network namespace, on which net.* depends."""
    return os.stat("/proc/self/ns/net").st_ino


def in_initial_network_namespace() -> bool:
    """Whether net.* is the machine's own here."""
    # The inode of the initial namespace differs between kernels; this parameter has never been per namespace.
    return exists("net.core.netdev_max_backlog")
