# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The interface of a kind of setting, such as sysctls or a block device's queue: how it is found, read and written.

To add a kind, subclass Kind, or FileKind where a setting is a file, in a module of its own, and add an instance to
KINDS in _kernel.py.
"""

from __future__ import annotations

import abc
import errno
import os
import re
import shlex
from collections.abc import Iterator, Sequence

PROC_SYS = "/proc/sys"
SYSFS = "/sys"

# The selected word of `always [madvise] never`; the scheduler's debugfs writes (full) instead.
_SELECTED = re.compile(r"(?:^|\s)(?:\[(\S+)\]|\((\S+)\))(?=\s|$)")


class Kind(abc.ABC):
    """A kind of setting. Methods take the components of a name, the prefix included.

    prefix: the first component, which all names of the kind share. components: how many a name has at least.
    how_to_write: for users whose name is malformed. persistable: whether a file of sysctl.d can set it at boot.
    unit_properties: what the watchdog's systemd unit needs in addition to be able to write it. The unit can write to
    /proc and /sys, except for cgroups (`ProtectControlGroups=no` permits these), and open Unix sockets
    (`RestrictAddressFamilies=AF_NETLINK` permits netlink).
    """

    prefix: str
    components = 2
    how_to_write = "write vm.swappiness, or net/ipv4/conf/eth0.1/mtu where a component contains dots"
    persistable = False
    unit_properties: tuple[str, ...] = ()

    @abc.abstractmethod
    def read(self, parts: Sequence[str]) -> str:
        """The current value, with single spaces between its elements; raises OSError."""

    @abc.abstractmethod
    def write(self, parts: Sequence[str], text: str) -> None:
        """Set the value; raises OSError with the kernel's error."""

    @abc.abstractmethod
    def exists(self, parts: Sequence[str]) -> bool:
        """Whether this host has the setting."""

    @abc.abstractmethod
    def names(self) -> Iterator[str]:
        """The names of all settings of the kind that this host has, with slashes."""

    @abc.abstractmethod
    def command(self, parts: Sequence[str], text: str) -> str:
        """The shell command by which an administrator sets the value."""

    def path(self, parts: Sequence[str]) -> str | None:
        """The setting's file, or None if it is not a file."""
        return None

    def is_world_readable(self, parts: Sequence[str]) -> bool:
        """Whether any account may read the value."""
        return True

    def choices(self, parts: Sequence[str]) -> list[str] | None:
        """The values that the kernel offers, or None if it lists none; raises OSError."""
        return None

    def why_missing(self, parts: Sequence[str]) -> str | None:
        """Why the setting does not exist, or None if that is unknown."""
        return None

    def why_not_writable(self, parts: Sequence[str]) -> str | None:
        """What prevents this process from writing the setting, or None. Nothing is written."""
        return None

    def side_effects(self, parts: Sequence[str]) -> list[str]:
        """The names, with slashes, of other settings that writing this one changes directly."""
        return []

    def is_transient(self, parts: Sequence[str]) -> bool:
        """Whether the setting may disappear while others are set, so that its absence is no cause for a warning."""
        return False


class FileKind(Kind):
    """Settings that are files."""

    @abc.abstractmethod
    def path(self, parts: Sequence[str]) -> str: ...

    def value_in(self, content: str) -> str:
        """The value that the file's content shows."""
        return " ".join(content.split())

    def read(self, parts: Sequence[str]) -> str:
        with open(self.path(parts), "rb", buffering=0) as file:
            return self.value_in(file.readall().decode("utf-8", "replace"))

    def write(self, parts: Sequence[str], text: str) -> None:
        # One system call: the kernel takes each write for a whole value.
        descriptor = os.open(self.path(parts), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode() + b"\n")
        finally:
            os.close(descriptor)

    def exists(self, parts: Sequence[str]) -> bool:
        return os.path.isfile(self.path(parts))

    def is_world_readable(self, parts: Sequence[str]) -> bool:
        return bool(os.stat(self.path(parts)).st_mode & 0o004)

    def command(self, parts: Sequence[str], text: str) -> str:
        return f"echo {shlex.quote(text)} > {shlex.quote(self.path(parts))}"

    def why_not_writable(self, parts: Sequence[str]) -> str | None:
        path = self.path(parts)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno == errno.EROFS:
                root = PROC_SYS if path.startswith(PROC_SYS) else SYSFS
                return f"{root} is read-only here, as in a container: tune the machine that runs it"
            if os.geteuid() != 0:
                return f"user id {os.geteuid()} may not write it: use become"
            return self.why_refused(parts, error)
        return None

    def why_refused(self, parts: Sequence[str], error: OSError) -> str:
        """Why root cannot open the file for writing."""
        return "the kernel does not permit writing it here"


class SysfsKind(FileKind):
    """Files below /sys, some of which list their choices and mark the selected one."""

    def names(self) -> Iterator[str]:
        return files_below(self.path([self.prefix]), self.prefix)

    def value_in(self, content: str) -> str:
        selected = _SELECTED.search(content)
        return (selected[1] or selected[2]) if selected else super().value_in(content)

    def choices(self, parts: Sequence[str]) -> list[str] | None:
        with open(self.path(parts), encoding="utf-8", errors="replace") as file:
            content = file.read()
        return [word.strip("[]()") for word in content.split()] if _SELECTED.search(content) else None


def files_below(folder: str, prefix: str = "") -> Iterator[str]:
    """The names of the settings in a folder, with slashes, each beginning with `prefix`."""
    for place, dummy, names in os.walk(folder):
        for name in names:
            yield os.path.join(prefix, os.path.relpath(os.path.join(place, name), folder))


def listed(folder: str) -> list[str]:
    """What is in a folder, sorted; nothing if it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
