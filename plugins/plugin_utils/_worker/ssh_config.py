# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What OpenSSH says of a host: where it is, how to get there, who logs in with which keys.

`ssh -G` is asked, with the arguments that Ansible gives to ssh. Its files are never read here: includes, matches,
tokens and defaults are OpenSSH's own business, and differ from version to version.
"""

from __future__ import annotations

import getopt
import getpass
import os
import pwd
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .transport import Lost

# ssh's own flags, as its source hands them to getopt(3).
_FLAGS = "1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYy"
# What a shell would act on; ssh refuses the same where it puts a name into a command.
_SHELL_SYNTAX = re.compile(r"""^-|['"`$;&<>|(){}\s\x00-\x1f\x7f]|\\$""")
_TOKEN = re.compile("%(.)")


@dataclass(frozen=True)
class SSHAddress:
    """A host as Ansible hands it to ssh. `arguments` are all of ssh's options; `timeout` is in seconds."""

    host: str
    arguments: tuple[str, ...] = ()
    executable: str = "ssh"
    password: str | None = field(default=None, repr=False)
    timeout: float = 10.0

    @classmethod
    def of_connection(cls, option: Callable[[str], Any]) -> SSHAddress:
        """From the options of Ansible's ssh connection, by their names there; arguments in Ansible's order."""
        timeout = float(option("timeout") or 10)
        arguments = shlex.split(option("ssh_args") or "")
        if option("host_key_checking") is False:
            arguments += ["-o", "StrictHostKeyChecking=no"]
        if option("port"):
            arguments += ["-o", f"Port={int(option('port'))}"]
        if option("private_key_file"):
            arguments += ["-o", f'IdentityFile="{Path(option("private_key_file")).expanduser()}"']
        if option("remote_user"):
            arguments += ["-o", f'User="{option("remote_user")}"']
        for source in ("ssh_common_args", "ssh_extra_args"):
            arguments += shlex.split(option(source) or "")
        return cls(
            host=str(option("host")),
            arguments=tuple(arguments),
            executable=str(option("ssh_executable") or "ssh"),
            password=option("password"),
            timeout=timeout,
        )


@dataclass(frozen=True)
class SSHSettings:
    """How ssh would reach the host: its settings by their names in lower case, with every value of each."""

    address: SSHAddress
    settings: Mapping[str, Sequence[str]]

    @property
    def hostname(self) -> str:
        return self.get("hostname", self.address.host)

    @property
    def port(self) -> int:
        return int(self.get("port", "22"))

    @property
    def user(self) -> str:
        return self.get("user", getpass.getuser())

    def get(self, name: str, default: str = "") -> str:
        """A setting's first value; what ssh calls `none` is empty."""
        value = (self.settings.get(name) or (default,))[0]
        return "" if value == "none" else value

    def expanded(self, text: str) -> str:
        """A file's name with its tokens, its variables and its tilde replaced, as in ssh_config(5)."""
        name = re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], ""), text)
        return re.sub("^~(?=/|$)", lambda dummy: _home(), self._with_tokens(name, quoted=False))

    @property
    def identity_files(self) -> list[Path]:
        """The files of the keys to try, in ssh's order, whether they exist or not."""
        named = (Path(self.expanded(name)) for name in self.settings.get("identityfile", ()) if name != "none")
        return list(dict.fromkeys(named))

    def proxy(self) -> list[str]:
        """The command whose standard input and output lead to the host, or nothing. Raises Lost."""
        if jumps := self.get("proxyjump"):
            *others, last = jumps.split(",")
            hops = ["-J", ",".join(others)] if others else []
            return [self.address.executable, *self._own_config(), *hops, "-W", self._target, f"ssh://{last}"]
        if command := self.get("proxycommand"):
            # The user's own command, in the user's own shell, as ssh runs it.
            return [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {self._with_tokens(command, quoted=True)}"]
        return []

    @property
    def _target(self) -> str:
        return f"[{self.hostname}]:{self.port}"

    def _own_config(self) -> list[str]:
        """The file given by -F: all that ssh hands on to the ssh that reaches a jump host."""
        try:
            given = dict(getopt.getopt(list(self.address.arguments), _FLAGS)[0])
        except getopt.GetoptError as error:
            raise Lost(f"SSH to {self.address.host}: {error} among ssh's arguments") from None
        return ["-F", given["-F"]] if "-F" in given else []

    def _with_tokens(self, text: str, *, quoted: bool) -> str:
        known = {
            "%": "%",
            "d": _home(),
            "h": self.hostname,
            "k": self.get("hostkeyalias") or self.address.host,
            "n": self.address.host,
            "p": str(self.port),
            "r": self.user,
            "u": getpass.getuser(),
        }

        def replaced(match: re.Match[str]) -> str:
            value = known.get(match[1], match[0])
            if quoted and _SHELL_SYNTAX.search(value):
                raise Lost(f"SSH to {self.address.host}: {value!r} holds what a shell would act on in ProxyCommand")
            return value

        return _TOKEN.sub(replaced, text)


def _home() -> str:
    """As ssh has it: from the list of accounts, whatever HOME says."""
    return pwd.getpwuid(os.getuid()).pw_dir


def ssh_settings(address: SSHAddress) -> SSHSettings:
    """Ask ssh how it would reach the host. Raises Lost, with what ssh has to say."""
    said = ask([address.executable, "-G", *address.arguments, "--", address.host], address)
    if said.returncode != 0:
        reason = "; ".join(line.strip() for line in said.stderr.splitlines()) or f"{address.executable} -G failed"
        raise Lost(f"SSH to {address.host}: {reason[:300]}")
    settings: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        name, dummy, value = line.partition(" ")
        settings.setdefault(name.lower(), []).append(value)
    return SSHSettings(address, settings)


def ask(command: list[str], address: SSHAddress) -> subprocess.CompletedProcess[str]:
    """Run one of OpenSSH's programs for what it prints. Raises Lost where it cannot be run."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # names of files may be any bytes
            timeout=60,  # `Match exec` and names to look up may take their time
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Lost(f"SSH to {address.host}: {error}") from None
