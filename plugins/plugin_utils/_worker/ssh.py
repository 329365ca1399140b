# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Commands on a host over one SSH transport that stays open: milliseconds a command, and output as it comes.

The connection is built from the inventory's own variables and from OpenSSH's configuration, and host keys are checked
as Ansible would check them.
"""

from __future__ import annotations

import select
import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

from .transport import Lost

# Unanswered for this long, the other side is gone: without it a cut link is noticed after a quarter of an hour.
_SILENCE = 15


class HostKeyNotChecked(paramiko.MissingHostKeyPolicy):
    """Accepts any host key: only where the user has turned the check off in Ansible or in ssh's arguments."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        return


@dataclass(frozen=True)
class SSHAddress:
    """How to reach a host. `arguments` are ssh's own, as Ansible would pass them; `options` what they set."""

    host: str
    port: int | None
    user: str | None
    password: str | None = field(repr=False)
    key_file: str | None
    check_host_key: bool
    timeout: float
    arguments: list[str]

    @classmethod
    def of_connection(cls, option: Callable[[str], Any]) -> SSHAddress:
        """From the options of Ansible's ssh connection, by their names there."""
        sources = ("ssh_args", "ssh_common_args", "ssh_extra_args")
        arguments = [word for source in sources for word in shlex.split(option(source) or "")]
        return cls(
            host=str(option("host")),
            port=int(option("port")) if option("port") else None,
            user=option("remote_user"),
            password=option("password"),
            key_file=option("private_key_file"),
            check_host_key=bool(option("host_key_checking")),
            timeout=float(option("timeout") or 10),
            arguments=arguments,
        )

    @property
    def options(self) -> dict[str, str]:
        """What ssh_config and the arguments say of this host, keys in lower case; arguments win, as in ssh."""
        found: dict[str, str] = {}
        for configuration in (Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")):
            if configuration.is_file():
                entries = paramiko.SSHConfig.from_path(str(configuration)).lookup(self.host)
                found = {key: str(value) for key, value in entries.items() if key != "identityfile"} | found
        return found | _options_in(self.arguments)


def _options_in(arguments: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at, word in enumerate(arguments):
        following = arguments[at + 1] if at + 1 < len(arguments) else ""
        text = following if word == "-o" else word[2:] if word.startswith("-o") else ""
        if text:
            key, dummy, value = text.replace(" ", "=", 1).partition("=")
            # As in ssh, the first value given for an option is the one that counts.
            found.setdefault(key.lower(), value.strip('"'))
        if word == "-J":
            found.setdefault("proxyjump", following)
    return found


class SSHProcess:
    def __init__(self, channel: paramiko.Channel, lost: Callable[[], bool]) -> None:
        self._channel, self._lost = channel, lost

    def read(self, patience: float) -> tuple[bytes, bytes]:
        channel = self._channel
        if patience and not channel.exit_status_ready():
            select.select([channel], [], [], patience)
        output = channel.recv(65_536) if channel.recv_ready() else b""
        errors = channel.recv_stderr(65_536) if channel.recv_stderr_ready() else b""
        if patience and not output and not errors:
            # A command that has closed its output keeps select() from waiting.
            channel.status_event.wait(0.01)
        return output, errors

    def code(self) -> int | None:
        if self._channel.exit_status_ready():
            code = self._channel.recv_exit_status()
            if code == -1:
                # Closed without an exit status; an instant later it is known whether that was the whole connection.
                time.sleep(0.2)
            if code != -1 or not self._lost():
                return code
        if self._lost():
            raise Lost("the SSH connection broke")
        return None

    def end_input(self) -> None:
        self._channel.shutdown_write()

    def close(self) -> None:
        self._channel.close()


class SSHTransport:
    """One authenticated connection, with a channel a command. Raises Lost where it cannot be had."""

    def __init__(self, address: SSHAddress) -> None:
        options = address.options
        self._client = paramiko.SSHClient()
        self._know_hosts(address, options)
        try:
            self._client.connect(
                options.get("hostname", address.host),
                port=address.port or int(options.get("port", 22)),
                username=address.user or options.get("user"),
                password=address.password,
                key_filename=address.key_file or options.get("identityfile"),
                timeout=address.timeout,
                sock=_socket(address, options),
            )
        except (OSError, paramiko.SSHException, EOFError) as error:
            self._client.close()
            raise Lost(f"SSH to {address.host}: {error}") from error
        transport = self._client.get_transport()
        assert transport
        transport.set_keepalive(5)
        self._transport = transport

    def _know_hosts(self, address: SSHAddress, options: dict[str, str]) -> None:
        user_files = options.get("userknownhostsfile", "~/.ssh/known_hosts").split()
        system_files = options.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts").split()
        for name in (*system_files, *user_files):
            if Path(name).expanduser().is_file():
                self._client.load_system_host_keys(str(Path(name).expanduser()))
        relaxed = options.get("stricthostkeychecking", "yes") in ("no", "off", "accept-new")
        checked = address.check_host_key and not relaxed
        self._client.set_missing_host_key_policy(paramiko.RejectPolicy() if checked else HostKeyNotChecked())

    def start(self, command: list[str], *, stdin: bytes | None = b"") -> SSHProcess:
        try:
            channel = self._transport.open_session(timeout=_SILENCE)
            channel.exec_command(shlex.join(command))
            if stdin:
                channel.sendall(stdin)
            if stdin is not None:
                channel.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Lost(f"the SSH connection broke: {error}") from error
        return SSHProcess(channel, lambda: not self._transport.is_active())

    def close(self) -> None:
        self._client.close()


def _socket(address: SSHAddress, options: dict[str, str]) -> Any:
    """A connected socket, or a ProxyCommand where OpenSSH would use a jump host or a proxy."""
    host, port = options.get("hostname", address.host), address.port or int(options.get("port", 22))
    if options.get("proxyjump", "none") != "none":
        *others, last = options["proxyjump"].split(",")
        hops = ["-J", ",".join(others)] if others else []
        jump = ["ssh", *_without_jump(address.arguments), *hops, "-W", f"[{host}]:{port}", last]
        return paramiko.ProxyCommand(shlex.join(jump))
    if options.get("proxycommand", "none") != "none":
        command = options["proxycommand"].replace("%h", host).replace("%p", str(port)).replace("%r", address.user or "")
        return paramiko.ProxyCommand(command)
    connection = socket.create_connection((host, port), address.timeout)
    # Without it each command waits for a delayed acknowledgement: 50 ms instead of 7.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE * 1000)
    return connection


def _without_jump(arguments: list[str]) -> list[str]:
    """ssh's arguments for reaching the jump host: all but those on how to get past it or share its connection."""
    kept: list[str] = []
    skip = False
    for at, word in enumerate(arguments):
        following = arguments[at + 1] if at + 1 < len(arguments) else ""
        text = (following if word == "-o" else word).lower().removeprefix("-o")
        if skip:
            skip = False
        elif word == "-J" or text.startswith(("proxyjump", "proxycommand", "control")):
            skip = word in ("-J", "-o")
        else:
            kept.append(word)
    return kept
