# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A stream to a host's sshd: a TCP connection, or what ssh's ProxyCommand or ProxyJump leads to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from typing import IO

from .ssh_config import SSHSettings

# Unanswered for this long, the other side is gone: without it a cut link is noticed after a quarter of an hour.
SILENCE = 15
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


class Stream:
    """An open socket to the host's sshd, with the proxy behind it if there is one."""

    def __init__(
        self,
        connection: socket.socket,
        proxy: subprocess.Popen[bytes] | None = None,
        errors: IO[bytes] | None = None,
    ) -> None:
        self.socket, self._proxy, self._errors = connection, proxy, errors

    def last_words(self) -> str:
        """The last line that the proxy wrote to standard error, if any."""
        if self._errors is None:
            return ""
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
        return (self._errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]

    def close(self) -> None:
        """Close it, and end the proxy."""
        self.socket.close()
        if self._proxy:
            with suppress(ProcessLookupError):
                os.killpg(self._proxy.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._proxy.wait(5)
        if self._errors:
            self._errors.close()


def dial(route: SSHSettings) -> Stream:
    """Open a stream as ssh would. Raises Lost, and OSError where nobody answers."""
    command = route.proxy()
    return _through(command, fdpass=route.get("proxyusefdpass") == "yes") if command else Stream(_direct(route))


def _direct(route: SSHSettings) -> socket.socket:
    family = _FAMILIES.get(route.get("addressfamily"), socket.AF_UNSPEC)
    source = (route.get("bindaddress"), 0) if route.get("bindaddress") else None
    # As ssh: the first address that answers, of those that the name has in this family.
    found = socket.getaddrinfo(route.hostname, route.port, family, socket.SOCK_STREAM)
    refused: OSError | None = None
    for address in found:
        connection = socket.socket(address[0], socket.SOCK_STREAM)
        try:
            connection.settimeout(route.address.timeout)
            if source:
                connection.bind(source)
            connection.connect(address[4])
        except OSError as error:
            connection.close()
            refused = error
            continue
        # Without it each command waits for a delayed acknowledgement: 50 ms instead of 7.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)
        return connection
    raise refused or OSError(f"{route.hostname} has no address")


def _through(command: list[str], *, fdpass: bool) -> Stream:
    ours, theirs = socket.socketpair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (for as long as the stream)
    try:
        end = theirs.fileno()
        # In a session of its own: Ctrl-C is for the run, which has values to restore over this very connection.
        proxy = subprocess.Popen(command, stdin=end, stdout=end, stderr=errors, start_new_session=True)
    except OSError:
        ours.close()
        errors.close()
        raise
    finally:
        theirs.close()
    return Stream(_passed_on(ours) if fdpass else ours, proxy, errors)


def _passed_on(proxy: socket.socket) -> socket.socket:
    """The connection that a proxy hands over, as ProxyUseFdpass has it."""
    with proxy:
        descriptors = socket.recv_fds(proxy, 1, 1)[1]
    if not descriptors:
        raise OSError("the ProxyCommand handed no connection over, although ProxyUseFdpass is set")
    return socket.socket(fileno=descriptors[0])
