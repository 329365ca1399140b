# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Running a command through the account's login shell, whichever it is, and skipping what its start-up files print.

sshd passes a command to the login shell as one string, and shells quote differently: in csh a newline or `!` ends a
quoted string, in fish a backslash is special inside one. So the command is encoded in characters that every shell reads
alike, and decoded by sh. Start-up files such as ~/.bashrc may print; the command's output begins after a marker line.
"""

from __future__ import annotations

import secrets
import shlex
import string

_SAFE = frozenset((string.ascii_letters + string.digits + " _./:=,@+-").encode())
# A start-up file may print without end.
_MOST_HELD = 65_536


def new_marker() -> str:
    return f"autotune-{secrets.token_hex(8)}"


def for_any_shell(command: list[str], marker: str) -> str:
    """The string for sshd, which prints the marker on both outputs and then runs the command."""
    text = "".join(chr(byte) if byte in _SAFE else f"\\{byte:03o}" for byte in shlex.join(command).encode())
    return f"""sh -c 'echo {marker}; echo {marker} >&2; eval "exec $(printf "{text}")"'"""


class AfterMarker:
    """Filters one output of the login shell: only what follows the marker belongs to the command."""

    def __init__(self, marker: str) -> None:
        self._marker, self._found, self._held = f"{marker}\n".encode(), False, b""

    def feed(self, data: bytes) -> bytes:
        """The part of `data` that belongs to the command."""
        if self._found:
            return data
        dummy, marker, rest = (self._held + data).partition(self._marker)
        self._found = bool(marker)
        self._held = b"" if marker else (self._held + data)[-_MOST_HELD:]
        return rest

    def leftover(self) -> bytes:
        """What the shell printed if it ended without running the command: its error message."""
        held, self._held = self._held, b""
        return held
