# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Kernel parameters as files: their names, their values as text, reading and writing one of them.

Beside the sysctls there are settings of the same kind that live elsewhere. They have names of their own:
`transparent_hugepage.<name>`, `block.<device>.<name>` for a device's queue, `sched.<name>` for the scheduler's debugfs.
"""

from __future__ import annotations

import errno
import os
import re

ROOT = "/proc/sys"
SYSFS = "/sys"

# No folder of /proc/sys has one of these names.
_OUTSIDE = {
    "transparent_hugepage": "kernel/mm/transparent_hugepage",
    "block": "block",
    "sched": "kernel/debug/sched",
}
_COMPONENT = re.compile(r"[A-Za-z0-9_.:@+=,!-]+")  # /sys/block writes cciss/c0d0 with an exclamation mark
# The kernel takes nearly any byte in the name of an interface. Left out is what shells, sysctl.d or YAML would read.
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@+=,!#~()%^\x80-\U0010ffff-]+")
_SWAPPED = str.maketrans("./", "/.")
# `always [madvise] never`; the scheduler writes (full) instead.
_CHOSEN = re.compile(r"(?:^|\s)(?:\[(\S+)\]|\((\S+)\))(?=\s|$)")


def components(parameter: str) -> list[str]:
    """The parts of a parameter's name; raises ValueError for a name that cannot be one.

    As in sysctl(8) the first separator decides: in `net.ipv4.conf.eth0/1.mtu` and in `net/ipv4/conf/eth0.1/mtu`
    the interface is eth0.1.
    """
    first = next((character for character in str(parameter) if character in "./"), "")
    path = parameter if first == "/" else str(parameter).translate(_SWAPPED)
    parts = path.split("/")
    is_no_path = len(parts) < (3 if parts[0] == "block" else 2) or parts[0].startswith("-")
    if is_no_path or not all(_is_component(part, at, parts) for at, part in enumerate(parts)):
        raise ValueError(f"{parameter!r} is not the name of a kernel parameter: {_how_to_write(str(parameter))}")
    return parts


def _is_component(part: str, at: int, parts: list[str]) -> bool:
    is_interface = at == 3 and parts[0] == "net" and parts[2] in ("conf", "neigh")
    allowed = _INTERFACE if is_interface else _COMPONENT
    return part not in (".", "..") and part.isprintable() and allowed.fullmatch(part) is not None


def _how_to_write(parameter: str) -> str:
    if parameter.startswith("block"):
        return "write block.<device>.<setting>, as block.sda.scheduler"
    if parameter.startswith("-"):
        return "a leading - belongs in files of sysctl.d; leave it out"
    if "*" in parameter:
        return "patterns with * belong in files of sysctl.d; name each parameter"
    return "write vm.swappiness, or net/ipv4/conf/eth0.1/mtu where a part has dots"


def canonical_name(parameter: str) -> str:
    """The one spelling by which a parameter is known: dots, or slashes where a part has dots itself."""
    parts = components(parameter)
    return "/".join(parts) if any("." in part for part in parts) else ".".join(parts)


def is_sysctl(parameter: str) -> bool:
    """Whether the parameter is one of /proc/sys, which sysctl.d can set at boot; raises ValueError for a bad name."""
    return components(parameter)[0] not in _OUTSIDE


def path_of(parameter: str) -> str:
    """The file of a parameter; raises ValueError for a bad name."""
    first, *rest = components(parameter)
    if first not in _OUTSIDE:
        return os.path.join(ROOT, first, *rest)
    if first == "block":
        rest.insert(1, "queue")
    return os.path.join(SYSFS, _OUTSIDE[first], *rest)


def folders_outside() -> list[tuple[str, str]]:
    """The folders with the settings that are not sysctls, each with the name which its settings begin with."""
    queues = [(f"block/{device}", f"block/{device}/queue") for device in _listed("block")]
    others = [(first, folder) for first, folder in _OUTSIDE.items() if first != "block"]
    return [(first, os.path.join(SYSFS, folder)) for first, folder in others + queues]


def read(parameter: str) -> str:
    """The value now, single spaces between its elements; raises OSError."""
    with open(path_of(parameter), "rb", buffering=0) as file:
        return value_in(parameter, file.readall().decode("utf-8", "replace"))


def read_or_none(parameter: str) -> str | None:
    """The value now, None if it cannot be read."""
    try:
        return read(parameter)
    except OSError:
        return None


def value_in(parameter: str, content: str) -> str:
    """The value which the content of the parameter's file shows: of several choices the marked one."""
    chosen = None if is_sysctl(parameter) else _CHOSEN.search(content)
    return (chosen[1] or chosen[2]) if chosen else " ".join(content.split())


def choices(parameter: str) -> list[str] | None:
    """The choices which the kernel offers for it here, None where it lists none; raises OSError."""
    if canonical_name(parameter) == "net.ipv4.tcp_congestion_control":
        which = "available" if in_initial_network_namespace() else "allowed"
        return read(f"net.ipv4.tcp_{which}_congestion_control").split()
    with open(path_of(parameter), encoding="utf-8", errors="replace") as file:
        content = file.read()
    if is_sysctl(parameter) or not _CHOSEN.search(content):
        return None
    return [word.strip("[]()") for word in content.split()]


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


def why_missing(parameter: str) -> str | None:
    """Why a setting that is not a sysctl does not exist here, or None where there is nothing to say."""
    first, *rest = components(parameter)
    if first == "sched":
        return _why_no_scheduler_settings()
    if first == "block" and not os.path.isdir(os.path.join(SYSFS, "block", rest[0])):
        return f"there is no block device {rest[0]}; there are {', '.join(_listed('block')) or 'none'}"
    if first == "block" and rest[1] == "iosched":
        return "it belongs to another scheduler than the device has"
    return None


def _why_no_scheduler_settings() -> str | None:
    debugfs = os.path.join(SYSFS, "kernel/debug")
    if not os.path.isdir(debugfs):
        return "this kernel has no debugfs (CONFIG_DEBUG_FS), where the scheduler's settings are"
    try:
        entries = os.listdir(debugfs)
    except OSError as error:
        return f"debugfs is not readable for user id {os.geteuid()} ({os.strerror(error.errno or 0)}): use become"
    if not entries:
        return (
            f"debugfs is not readable, since it is not mounted: mount -t debugfs debugfs {debugfs} "
            "(if that is refused, this kernel was started with debugfs=off, or this is a container)"
        )
    if "sched" not in entries:
        return "the debugfs of this kernel has no settings of the scheduler: it is older than 5.13"
    return None


def why_not_writable(parameter: str) -> str | None:
    """What keeps this process from writing the parameter, or None; nothing is written."""
    try:
        os.close(os.open(path_of(parameter), os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EROFS:
            place = ROOT if is_sysctl(parameter) else SYSFS
            return f"{place} is read-only here, as in a container: tune the machine that runs it"
        if os.geteuid() != 0:
            return f"user id {os.geteuid()} may not write it: use become"
        if error.errno == errno.EPERM and components(parameter)[0] == "sched":
            return "debugfs is closed, since this kernel is locked down (Secure Boot, or lockdown= at boot)"
        is_inner = components(parameter)[0] == "net" and not in_initial_network_namespace()
        return f"the kernel does not let it be written {'in this network namespace' if is_inner else 'here'}"
    return None


def boot_id() -> str:
    """What tells one boot of one kernel from every other."""
    return read("kernel.random.boot_id")


def network_namespace() -> int:
    """The inode of this thread's network namespace, on which net.* depends."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def in_initial_network_namespace() -> bool:
    """Whether net.* is the machine's own here."""
    # The inode of the initial namespace differs between kernels; this parameter has never been per namespace.
    return exists("net.core.netdev_max_backlog")


def _listed(folder: str) -> list[str]:
    path = os.path.join(SYSFS, folder)
    return sorted(os.listdir(path)) if os.path.isdir(path) else []
