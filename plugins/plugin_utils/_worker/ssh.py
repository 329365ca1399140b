# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Commands on a host over one SSH transport that stays open: milliseconds a command, and output as it comes.

The connection is built from the inventory's own variables and from OpenSSH's configuration, and host keys are checked
as Ansible would check them.
"""

from __future__ import annotations

import logging
import re
import select
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

from .transport import Lost

# What goes wrong is raised; paramiko's own log of it would reach the user as a traceback beside the message.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
# Unanswered for this long, the other side is gone: without it a cut link is noticed after a quarter of an hour.
_SILENCE = 15
# How many seconds a command that has ended is given to say more, counted from the last that it said.
_LAST_WORDS = 2.0
_FLAG_WITH_VALUE = r"-[BbcDEeFIiJLlmOoPpQRSWw]"
_FLAGS = {"-J": "proxyjump", "-i": "identityfile", "-l": "user", "-p": "port"}
_SHARING = ("controlmaster", "controlpath", "controlpersist")
_FOR_THE_HOST_ALONE = ("proxyjump", "proxycommand", "hostname", "hostkeyalias", "port", "user", *_SHARING)


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
        for entries in self._configured():
            # paramiko always knows a hostname; one that says nothing must not hide what the next file says.
            own = {key: str(value) for key, value in entries.items() if (key, value) != ("hostname", self.host)}
            found = own | found
        return found | _options_in(self.arguments)

    @property
    def key_files(self) -> list[str]:
        """The keys to try besides those in ~/.ssh: the inventory's, or all that arguments and ssh_config name."""
        if self.key_file:
            return [self.key_file]
        named = [_options_in(self.arguments).get("identityfile", "")]
        named += [name for entries in self._configured() for name in entries.get("identityfile", ())]
        return [str(path) for name in named if (path := Path(name).expanduser()).is_file()]

    def _configured(self) -> Iterator[Mapping[str, Any]]:
        for path in map(Path.expanduser, (Path("~/.ssh/config"), Path("/etc/ssh/ssh_config"))):
            if path.is_file():
                try:
                    yield paramiko.SSHConfig.from_path(str(path)).lookup(self.host)
                except (OSError, paramiko.SSHException, ImportError) as error:
                    raise Lost(f"SSH to {self.host}: {path}: {error}") from error


def _flags(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """ssh's arguments as flag and value, however they are written: `-o X=y`, `-oX=y`, `-4`."""
    words = iter(arguments)
    for word in words:
        if re.match(_FLAG_WITH_VALUE, word):
            yield word[:2], word[2:] or next(words, "")
        else:
            yield word, ""


def _option(flag: str, value: str) -> tuple[str, str]:
    """The option that a flag sets, in lower case, and its value; ("", "") for a flag that is none."""
    if flag == "-o":
        match = re.fullmatch(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*", value)
        return (match[1].lower(), match[2].strip('"')) if match else ("", "")
    return (_FLAGS[flag], value) if flag in _FLAGS else ("", "")


def _options_in(arguments: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for flag, text in _flags(arguments):
        name, value = _option(flag, text)
        if name:
            # As in ssh, the first value given for an option is the one that counts.
            found.setdefault(name, value)
    return found


class SSHProcess:
    def __init__(self, channel: paramiko.Channel, lost: Callable[[], bool]) -> None:
        self._channel, self._lost = channel, lost
        self._heard, self._ended = 0.0, float("inf")

    def read(self, patience: float) -> tuple[bytes, bytes]:
        channel = self._channel
        if patience:
            select.select([channel], [], [], patience)
        output = channel.recv(65_536) if channel.recv_ready() else b""
        errors = channel.recv_stderr(65_536) if channel.recv_stderr_ready() else b""
        if output or errors:
            self._heard = time.monotonic()
        elif patience:
            # A command that has closed its output keeps select() from waiting.
            channel.status_event.wait(0.01)
        return output, errors

    def code(self) -> int | None:
        if self._channel.exit_status_ready() and self._told_all():
            code = self._channel.recv_exit_status()
            if code == -1:
                # Closed without an exit status; an instant later it is known whether that was the whole connection.
                time.sleep(0.2)
            if code != -1 or not self._lost():
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
        options = address.options
        self._client = paramiko.SSHClient()
        self._know_hosts(address, options)
        try:
            self._client.connect(
                options.get("hostname", address.host),
                port=address.port or int(options.get("port", 22)),
                username=address.user or options.get("user"),
                password=address.password,
                key_filename=address.key_files,  # type: ignore[arg-type]  # a list will do, says its documentation
                timeout=address.timeout,
                sock=_socket(address, options),
            )
        except (OSError, paramiko.SSHException, EOFError) as error:
            self._client.close()
            raise Lost(f"SSH to {address.host}: {error}") from error
        transport = self._client.get_transport()
        if transport is None:
            raise Lost(f"SSH to {address.host}: the connection was closed")
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
    """ssh's arguments for reaching the jump host: all but those for the host behind it and on how to get there."""
    return [
        word
        for flag, value in _flags(arguments)
        if _option(flag, value)[0] not in _FOR_THE_HOST_ALONE and flag not in ("-M", "-S")
        for word in (flag, value)
        if word
    ]
