# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""OpenSSH's configuration for a host: address, proxy, user and keys.

The configuration comes from `ssh -G`, called with the arguments that Ansible passes to ssh. The files are never parsed
here: includes, matches, tokens and defaults differ between versions of OpenSSH.
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

from .transport import ConnectionLost

# ssh's command line flags, from the getopt(3) call in ssh.c.
_FLAGS = "1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYy"
# Shell metacharacters; ssh refuses the same ones in a name that it puts into a command.
_SHELL_SYNTAX = re.compile(r"""^-|['"`$;&<>|(){}\s\x00-\x1f\x7f]|\\$""")
_TOKEN = re.compile("%(.)")


@dataclass(frozen=True)
class SSHAddress:
    """A host as Ansible passes it to ssh. arguments: all of ssh's options. timeout: seconds to connect."""

    host: str
    arguments: tuple[str, ...] = ()
    executable: str = "ssh"
    password: str | None = field(default=None, repr=False)
    timeout: float = 10.0

    @classmethod
    def of_connection(cls, option: Callable[[str], Any]) -> SSHAddress:
        """From the options of Ansible's ssh connection plugin, in the order in which the plugin passes them to ssh."""
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
        executable = str(option("ssh_executable") or "ssh")
        timeout = float(option("timeout") or 10)
        return cls(str(option("host")), tuple(arguments), executable, option("password"), timeout)


@dataclass(frozen=True)
class SSHConfig:
    """The configuration that ssh uses for a host. settings: by name in lower case, each with all of its values."""

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
        """The first value of a setting; empty for `none`."""
        value = (self.settings.get(name) or (default,))[0]
        return "" if value == "none" else value

    def expand(self, text: str) -> str:
        """Expand tokens, environment variables and the tilde in a file name, as in ssh_config(5)."""
        name = re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], ""), text)
        return re.sub("^~(?=/|$)", lambda match: _home(), self._expand_tokens(name, quoted=False))

    @property
    def identity_files(self) -> list[Path]:
        """The key files to try, in ssh's order; they need not exist."""
        names = (Path(self.expand(name)) for name in self.settings.get("identityfile", ()) if name != "none")
        return list(dict.fromkeys(names))

    def proxy_command(self) -> list[str]:
        """The command whose standard input and output are connected to the host's sshd; empty without a proxy.

        Raises ConnectionLost.
        """
        if jumps := self.get("proxyjump"):
            *first, last = jumps.rsplit(",", 1)
            hops = ["-J", *first] if first else []
            target = f"[{self.hostname}]:{self.port}"
            return [self.address.executable, *self._config_file(), *hops, "-W", target, f"ssh://{last}"]
        if command := self.get("proxycommand"):
            # Like ssh, in the user's own shell: the command may contain shell syntax.
            return [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {self._expand_tokens(command, quoted=True)}"]
        return []

    def _config_file(self) -> list[str]:
        """The option -F, the only one that ssh passes on to the ssh of a jump host."""
        try:
            options = dict(getopt.getopt(list(self.address.arguments), _FLAGS)[0])
        except getopt.GetoptError as error:
            raise ConnectionLost(f"SSH to {self.address.host}: {error} in ssh's arguments") from None
        return ["-F", options["-F"]] if "-F" in options else []

    def _expand_tokens(self, text: str, *, quoted: bool) -> str:
        tokens = {
            "%": "%",
            "d": _home(),
            "h": self.hostname,
            "k": self.get("hostkeyalias") or self.address.host,
            "n": self.address.host,
            "p": str(self.port),
            "r": self.user,
            "u": getpass.getuser(),
        }

        def value_of(match: re.Match[str]) -> str:
            value = tokens.get(match[1], match[0])
            if quoted and _SHELL_SYNTAX.search(value):
                raise ConnectionLost(
                    f"SSH to {self.address.host}: {value!r} contains shell syntax, refused in ProxyCommand"
                )
            return value

        return _TOKEN.sub(value_of, text)


def _home() -> str:
    """The home directory in the account database, which ssh uses instead of $HOME."""
    return pwd.getpwuid(os.getuid()).pw_dir


def ssh_config(address: SSHAddress) -> SSHConfig:
    """Ask `ssh -G` for the host's configuration. Raises ConnectionLost with ssh's own message."""
    answer = run_openssh([address.executable, "-G", *address.arguments, "--", address.host], address)
    if answer.returncode != 0:
        reason = "; ".join(line.strip() for line in answer.stderr.splitlines()) or f"{address.executable} -G failed"
        raise ConnectionLost(f"SSH to {address.host}: {reason[:300]}")
    settings: dict[str, list[str]] = {}
    for line in answer.stdout.splitlines():
        name, dummy, value = line.partition(" ")
        settings.setdefault(name.lower(), []).append(value)
    return SSHConfig(address, settings)


def run_openssh(command: list[str], address: SSHAddress) -> subprocess.CompletedProcess[str]:
    """Run one of OpenSSH's programs and capture its output. Raises ConnectionLost if it cannot be run."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # file names may contain any bytes
            timeout=60,  # `Match exec` and name resolution may be slow
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConnectionLost(f"SSH to {address.host}: {error}") from None
