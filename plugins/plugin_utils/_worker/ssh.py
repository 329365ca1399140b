# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Commands on a host over one SSH connection that stays open, which costs milliseconds a command and streams output.

The transport is paramiko's. OpenSSH decides how to reach the host (ssh_config.py) and which key to trust
(known_hosts.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import paramiko

from .known_hosts import KnownHost, known_host
from .login_shell import AfterMarker, for_any_shell, new_marker
from .ssh_auth import authenticate
from .ssh_config import SSHAddress, ssh_config
from .ssh_socket import DEAD_PEER_TIMEOUT, connect_to_sshd
from .transport import ConnectionLost

# Errors are raised; without a handler, paramiko's log of them would appear as a traceback beside the message.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
# Seconds to wait for more output after a command has ended, counted from the last output.
_DRAIN = 2.0
# Signature algorithms by type of key.
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")}


class UntrustedHostKey(paramiko.SSHException):
    """ssh would refuse the host's key. known: what is known of the host. kind: the type of its key."""

    def __init__(self, rejection: str, known: KnownHost, kind: str) -> None:
        super().__init__(rejection)
        self.known, self.kind = known, kind


class SSHProcess:
    def __init__(self, channel: paramiko.Channel, is_lost: Callable[[], bool], marker: str) -> None:
        self._channel, self._is_lost = channel, is_lost
        self._output, self._errors = AfterMarker(marker), AfterMarker(marker)
        self._last_output, self._ended, self._drained = 0.0, float("inf"), False
        # Not select(): for that paramiko opens a pipe, and when a channel is closed while output arrives, its thread
        # writes to the closed pipe, takes the error for the socket's, and ends the whole connection.
        self._arrived = threading.Event()
        channel.in_buffer.set_event(self._arrived)
        channel.in_stderr_buffer.set_event(self._arrived)

    def read(self, patience: float) -> tuple[bytes, bytes]:
        channel = self._channel
        if patience and not (channel.recv_ready() or channel.recv_stderr_ready()):
            self._arrived.wait(patience)
        output = channel.recv(65_536) if channel.recv_ready() else b""
        errors = channel.recv_stderr(65_536) if channel.recv_stderr_ready() else b""
        if output or errors:
            self._last_output = time.monotonic()
        elif patience and not self._drained:
            # The wait ends at once for a command that has closed its output.
            channel.status_event.wait(0.01)
        output, errors = self._output.feed(output), self._errors.feed(errors)
        if self._drained and not (channel.recv_ready() or channel.recv_stderr_ready()):
            # With the last output: whoever reads nothing after the end takes that for all.
            errors += self._output.leftover() + self._errors.leftover()
        return output, errors

    def code(self) -> int | None:
        if self._channel.exit_status_ready() and self._output_is_complete():
            code = self._channel.recv_exit_status()
            if code == -1:
                # Closed without an exit status: wait to see whether the whole connection broke.
                time.sleep(0.2)
            if code != -1 or not self._is_lost():
                self._drained = True
                return code
        if self._is_lost():
            raise ConnectionLost("the SSH connection broke")
        return None

    def _output_is_complete(self) -> bool:
        """Whether all output has arrived: sshd may send the exit status first.

        A process that the command left behind may keep the output open for ever, hence the time limit.
        """
        now = time.monotonic()
        self._ended = min(self._ended, now)
        at_end = bool(self._channel.eof_received or self._channel.closed)
        return at_end or now - max(self._last_output, self._ended) > _DRAIN

    def end_input(self) -> None:
        self._channel.shutdown_write()

    def close(self) -> None:
        self._channel.close()


class SSHTransport:
    """One authenticated connection, with a channel for each command; raises ConnectionLost if there is none."""

    def __init__(self, address: SSHAddress) -> None:
        config = ssh_config(address)
        known = known_host(config)
        try:
            self._socket = connect_to_sshd(config)
        except OSError as error:
            raise ConnectionLost(f"SSH to {address.host}: {error}") from error
        self._transport = paramiko.Transport(self._socket.socket)
        try:
            trusted = _handshake(self._transport, known, address.timeout + DEAD_PEER_TIMEOUT)
            # Like ssh: a host whose key is not trusted never gets the password.
            authenticate(self._transport, config, address.password if trusted else None)
        except (OSError, EOFError, paramiko.SSHException) as error:
            proxy_error = self._socket.proxy_error()
            self.close()
            raise ConnectionLost(
                f"SSH to {address.host}: {error}{f' ({proxy_error})' if proxy_error else ''}"
            ) from error
        self._transport.set_keepalive(5)

    def start(self, command: list[str], *, stdin: bytes | None = b"") -> SSHProcess:
        marker = new_marker()
        try:
            channel = self._transport.open_session(timeout=DEAD_PEER_TIMEOUT)
            channel.exec_command(for_any_shell(command, marker))
            if stdin:
                channel.sendall(stdin)
            if stdin is not None:
                channel.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionLost(f"the SSH connection broke: {error}") from error
        return SSHProcess(channel, lambda: not self._transport.is_active(), marker)

    def close(self) -> None:
        self._transport.close()
        self._socket.close()


def _handshake(transport: paramiko.Transport, known: KnownHost, timeout: float) -> bool:
    """Exchange keys within `timeout` seconds; returns whether the host's key is trusted.

    Raises UntrustedHostKey if it is not and the configuration insists on it.
    """
    options = transport.get_security_options()
    offered = tuple(options.key_types)
    # The algorithms for known keys come first, because a server shows only one of its keys.
    preferred = [name for kind in known.kinds for name in _SIGNATURES.get(kind, (kind,)) if name in offered]
    options.key_types = (*preferred, *(name for name in offered if name not in preferred))
    transport.banner_timeout = transport.handshake_timeout = timeout
    transport.start_client(timeout=timeout)
    key = transport.get_remote_server_key()
    rejection = known.rejection(key.get_name(), key.asbytes())
    if rejection and known.is_checked:
        raise UntrustedHostKey(rejection, known, key.get_name())
    return rejection is None
