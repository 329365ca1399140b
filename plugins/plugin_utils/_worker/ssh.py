# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Commands on a host over one SSH transport that stays open: milliseconds a command, and output as it comes.

How to reach the host and which key it has to show is OpenSSH's to say (openssh.py, known_hosts.py); the transport is
paramiko's.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable

import paramiko

from .known_hosts import KnownHost, known_host
from .login_shell import AfterMark, for_any_shell, new_mark
from .ssh_auth import log_in
from .ssh_config import SSHAddress, ssh_settings
from .ssh_socket import SILENCE, dial
from .transport import Lost

# What goes wrong is raised; paramiko's own log of it would reach the user as a traceback beside the message.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
# How many seconds a command that has ended is given to say more, counted from the last that it said.
_LAST_WORDS = 2.0
# One kind of key, several ways to sign with it.
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")}


class SSHProcess:
    def __init__(self, channel: paramiko.Channel, lost: Callable[[], bool], mark: str) -> None:
        self._channel, self._lost = channel, lost
        self._output, self._errors = AfterMark(mark), AfterMark(mark)
        self._heard, self._ended, self._over = 0.0, float("inf"), False

    def read(self, patience: float) -> tuple[bytes, bytes]:
        channel = self._channel
        if patience:
            select.select([channel], [], [], patience)
        output = channel.recv(65_536) if channel.recv_ready() else b""
        errors = channel.recv_stderr(65_536) if channel.recv_stderr_ready() else b""
        if output or errors:
            self._heard = time.monotonic()
        elif self._over:
            return b"", self._output.give_up() + self._errors.give_up()
        elif patience:
            # A command that has closed its output keeps select() from waiting.
            channel.status_event.wait(0.01)
        return self._output.take(output), self._errors.take(errors)

    def code(self) -> int | None:
        if self._channel.exit_status_ready() and self._told_all():
            code = self._channel.recv_exit_status()
            if code == -1:
                # Closed without an exit status; an instant later it is known whether that was the whole connection.
                time.sleep(0.2)
            if code != -1 or not self._lost():
                self._over = True
                return code
        if self._lost():
            raise Lost("the SSH connection broke")
        return None

    def _told_all(self) -> bool:
        """Whether the output is at its end: sshd may send the exit status before the last of what was printed.

        What a command left running can keep its output open for ever; that is waited for as long as something comes.
        """
        now = time.monotonic()
        self._ended = min(self._ended, now)
        at_its_end = bool(self._channel.eof_received or self._channel.closed)
        return at_its_end or now - max(self._heard, self._ended) > _LAST_WORDS

    def end_input(self) -> None:
        self._channel.shutdown_write()

    def close(self) -> None:
        self._channel.close()


class SSHTransport:
    """One authenticated connection, with a channel a command. Raises Lost where it cannot be had."""

    def __init__(self, address: SSHAddress) -> None:
        route = ssh_settings(address)
        known = known_host(route)
        try:
            self._stream = dial(route)
        except OSError as error:
            raise Lost(f"SSH to {address.host}: {error}") from error
        self._transport = paramiko.Transport(self._stream.socket)
        try:
            trusted = _greet(self._transport, known, address.timeout + SILENCE)
            # As ssh does: whoever shows another key than the host's is never told the password.
            log_in(self._transport, route, address.password if trusted else None)
        except (OSError, EOFError, paramiko.SSHException) as error:
            said = self._stream.last_words()
            self.close()
            raise Lost(f"SSH to {address.host}: {error}{f' ({said})' if said else ''}") from error
        self._transport.set_keepalive(5)

    def start(self, command: list[str], *, stdin: bytes | None = b"") -> SSHProcess:
        mark = new_mark()
        try:
            channel = self._transport.open_session(timeout=SILENCE)
            channel.exec_command(for_any_shell(command, mark))
            if stdin:
                channel.sendall(stdin)
            if stdin is not None:
                channel.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Lost(f"the SSH connection broke: {error}") from error
        return SSHProcess(channel, lambda: not self._transport.is_active(), mark)

    def close(self) -> None:
        self._transport.close()
        self._stream.close()


def _greet(transport: paramiko.Transport, known: KnownHost, patience: float) -> bool:
    """Agree on keys within so many seconds; returns whether the host has shown one that it is known by.

    Raises paramiko.SSHException where it has not and ssh would insist.
    """
    options = transport.get_security_options()
    options.key_types = _in_order(tuple(options.key_types), known.kinds)
    transport.banner_timeout = transport.handshake_timeout = patience
    transport.start_client(timeout=patience)
    key = transport.get_remote_server_key()
    wrong = known.why_not(key.get_name(), key.asbytes())
    if wrong and known.is_checked:
        raise paramiko.SSHException(wrong)
    return wrong is None


def _in_order(offered: tuple[str, ...], kinds: list[str]) -> tuple[str, ...]:
    """The ways to sign, with those first that fit a key by which the host is known: a server shows only one key."""
    wanted = [way for kind in kinds for way in _SIGNATURES.get(kind, (kind,)) if way in offered]
    return (*wanted, *(way for way in offered if way not in wanted))
