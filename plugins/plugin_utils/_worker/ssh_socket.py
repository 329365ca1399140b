# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A socket connected to a host's sshd, directly or through ssh's ProxyCommand or ProxyJump."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from typing import IO

from .ssh_config import SSHConfig

# Seconds without an answer after which the peer counts as gone; TCP's own default is about a quarter of an hour.
DEAD_PEER_TIMEOUT = 15
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


class SSHSocket:
    """An open socket to sshd, and the proxy process behind it if there is one."""

    def __init__(
        self,
        connection: socket.socket,
        proxy: subprocess.Popen[bytes] | None = None,
        errors: IO[bytes] | None = None,
    ) -> None:
        self.socket, self._proxy, self._errors = connection, proxy, errors

    def proxy_error(self) -> str:
        """The last line of the proxy's standard error, or nothing."""
        if self._errors is None:
            return ""
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
        return (self._errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]

    def close(self) -> None:
        """Close the socket and terminate the proxy."""
        self.socket.close()
        if self._proxy:
            with suppress(ProcessLookupError):
                os.killpg(self._proxy.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._proxy.wait(5)
        if self._errors:
            self._errors.close()


def connect_to_sshd(config: SSHConfig) -> SSHSocket:
    """Connect as ssh would. Raises ConnectionLost and OSError."""
    command = config.proxy_command()
    if command:
        return _through_proxy(command, fdpass=config.get("proxyusefdpass") == "yes")
    return SSHSocket(_direct(config))


def _direct(config: SSHConfig) -> socket.socket:
    wanted = _FAMILIES.get(config.get("addressfamily"), socket.AF_UNSPEC)
    source = (config.get("bindaddress"), 0) if config.get("bindaddress") else None
    failure = OSError(f"{config.hostname} has no address")
    # Like ssh: the first address that answers. socket.create_connection knows neither family nor scope.
    for family, *dummy, address in socket.getaddrinfo(config.hostname, config.port, wanted, socket.SOCK_STREAM):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(config.address.timeout)
            if source:
                connection.bind(source)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
            continue
        # Without TCP_NODELAY a command takes 50 ms instead of 7, waiting for a delayed acknowledgement.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_TIMEOUT * 1000)
        return connection
    raise failure


def _through_proxy(command: list[str], *, fdpass: bool) -> SSHSocket:
    ours, theirs = socket.socketpair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the socket)
    end = theirs.fileno()
    try:
        # In a session of its own: Ctrl-C must not end the connection over which values are restored.
        proxy = subprocess.Popen(command, stdin=end, stdout=end, stderr=errors, start_new_session=True)
    except OSError:
        ours.close()
        errors.close()
        raise
    finally:
        theirs.close()
    return SSHSocket(_receive_socket(ours) if fdpass else ours, proxy, errors)


def _receive_socket(proxy: socket.socket) -> socket.socket:
    """The connected socket that a proxy passes back (ProxyUseFdpass)."""
    with proxy:
        descriptors = socket.recv_fds(proxy, 1, 1)[1]
    if not descriptors:
        raise OSError("ProxyUseFdpass is set, but the ProxyCommand passed no socket")
    return socket.socket(fileno=descriptors[0])
