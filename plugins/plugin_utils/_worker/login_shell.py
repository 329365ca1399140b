# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What lies between sshd and a command: the account's login shell, which may be any, and what its start-up files print.

sshd hands a command to the login shell as one text. In csh a line end or `!` breaks quotes, in fish a backslash is
special inside them; so the text is in words that every shell reads alike, and sh decodes it. And bash reads ~/.bashrc
there, which may print: what comes before the mark is not the command's.
"""

from __future__ import annotations

import secrets
import shlex
import string

_READ_ALIKE = frozenset((string.ascii_letters + string.digits + " _./:=,@+-").encode())
# Without a mark there may be no end to what a start-up file prints.
_MOST_HELD = 65_536


def new_mark() -> str:
    return f"autotune-{secrets.token_hex(8)}"


def for_any_shell(command: list[str], mark: str) -> str:
    """The text for sshd: the mark on both outputs, then the command."""
    text = "".join(chr(byte) if byte in _READ_ALIKE else f"\\{byte:03o}" for byte in shlex.join(command).encode())
    return f"""sh -c 'echo {mark}; echo {mark} >&2; eval "exec $(printf "{text}")"'"""


class AfterMark:
    """An output of the login shell, of which what follows the mark is the command's."""

    def __init__(self, mark: str) -> None:
        self._mark, self._marked, self._held = f"{mark}\n".encode(), False, b""

    def take(self, data: bytes) -> bytes:
        """What of this is the command's output."""
        if self._marked:
            return data
        dummy, found, rest = (self._held + data).partition(self._mark)
        self._marked = bool(found)
        self._held = b"" if found else (self._held + data)[-_MOST_HELD:]
        return rest

    def give_up(self) -> bytes:
        """What the shell printed where it ended without running the command, to be told."""
        held, self._held = self._held, b""
        return held
