# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Text of files that others write, such as those in sysctl.d, and how it is shown in messages."""

from __future__ import annotations

import os
import stat

LARGEST = 1 << 20  # bytes of a file that are read
_LONGEST_SHOWN = 200
_NOT_REGULAR = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a FIFO, at which systemd-sysctl and `sysctl --system` hang: remove it",
}


def text_of(file: str, messages: list[str]) -> str:
    """The content of a regular file; anything else is reported, and empty."""
    if not os.path.lexists(file):
        return ""
    try:
        status = os.stat(file)
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev:
            return ""  # this is how administrators mask a file of that name
        if stat.S_ISREG(status.st_mode):
            # O_NONBLOCK: it may have become a FIFO in the meantime.
            with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
                content = opened.read(LARGEST + 1)
            if len(content) > LARGEST:
                messages.append(f"{shown(file)} was checked only up to its first {LARGEST} bytes")
            return content[:LARGEST].decode("utf-8", "surrogateescape")
        problem = _NOT_REGULAR.get(stat.S_IFMT(status.st_mode), "is not a regular file")
    except FileNotFoundError:
        problem = f"is a dangling link to {shown(os.readlink(file))}, which is ignored at boot"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    messages.append(f"{shown(file)} was not checked: it {problem}")
    return ""


def shown(text: str) -> str:
    """Foreign text for a message: short, and without control sequences."""
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    return short if short.isprintable() and short else ascii(short)
