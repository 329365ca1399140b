# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Host key verification: `ssh-keygen -F` looks the host up in the known_hosts files that ssh would use."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .ssh_config import SSHConfig, run_openssh

_LINE = re.compile(r"^(?!#)(?:@(?P<marker>\S+)\s+)?\S+\s+(?P<kind>\S+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s|$)")


class KnownKey(NamedTuple):
    """One line of a known_hosts file. marker: revoked, cert-authority or empty."""

    kind: str
    key: bytes
    marker: str = ""


@dataclass(frozen=True)
class KnownHost:
    """The known keys of a host. strictness: ssh's StrictHostKeyChecking. files: where ssh would look, if they exist."""

    name: str
    keys: tuple[KnownKey, ...]
    strictness: str
    files: tuple[Path, ...] = ()

    @property
    def kinds(self) -> list[str]:
        """The types of the known keys, which the handshake should ask for first."""
        return list(dict.fromkeys(known.kind for known in self.keys if not known.marker))

    def rejection(self, kind: str, key: bytes) -> str | None:
        """Why ssh would not trust this host key, or None."""
        unmarked = [known for known in self.keys if not known.marker]
        if any(known.key == key and known.marker == "revoked" for known in self.keys):
            return f"the host key of {self.name} is revoked"
        if any(known.key == key for known in unmarked):
            return None
        if any(known.kind == kind for known in unmarked):
            return f"the host key of {self.name} does not match the one in known_hosts"
        if self.strictness == "accept-new":
            return None
        if any(known.marker == "cert-authority" for known in self.keys):
            return f"known_hosts has only a certificate authority for {self.name}; add the host's own key"
        return f"{self.name} was not found in known_hosts"

    @property
    def is_checked(self) -> bool:
        return self.strictness not in ("no", "off", "false")


def known_host(config: SSHConfig) -> KnownHost:
    """Look the host up in the files that ssh would search. Raises ConnectionLost."""
    alias, hostname, port = config.get("hostkeyalias"), config.hostname, config.port
    files = [*_files(config, "userknownhostsfile"), *_files(config, "globalknownhostsfile")]
    name = alias or (hostname if port == 22 else f"[{hostname}]:{port}")
    keys = _lookup(name, files, config)
    if name not in (alias, hostname) and all(known.marker for known in keys):
        keys += _lookup(hostname, files, config)  # like ssh, if there is no entry for the port
    return KnownHost(name, keys, config.get("stricthostkeychecking", "ask").lower(), tuple(files))


def _lookup(name: str, files: list[Path], config: SSHConfig) -> tuple[KnownKey, ...]:
    keys: list[KnownKey] = []
    for file in files:
        for line in run_openssh(["ssh-keygen", "-F", name, "-f", str(file)], config.address).stdout.splitlines():
            if match := _LINE.match(line.strip()):
                with suppress(ValueError):  # a damaged line, which ssh skips too
                    keys.append(KnownKey(match["kind"], base64.b64decode(match["key"]), match["marker"] or ""))
    return tuple(keys)


def _files(config: SSHConfig, setting: str) -> Iterator[Path]:
    """The files named by a setting. `ssh -G` separates them by spaces and does not quote spaces within names.

    Most versions print the names expanded already, so that a % in them is no token.
    """
    words = config.get(setting).split(" ")
    while words:
        names = [" ".join(words[:length]) for length in range(len(words), 0, -1)]
        paths = [Path(path) for name in names for path in (name, config.expand(name))]
        # os.path.isfile, unlike Path.is_file, treats an inaccessible folder as missing, as ssh does.
        found = next((at for at, path in enumerate(paths) if os.path.isfile(path)), None)
        if found is not None:
            yield paths[found]
        words = words[1 if found is None else len(words) - found // 2 :]
