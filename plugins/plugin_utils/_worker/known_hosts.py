# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether a host's key is the one that it is known by: `ssh-keygen -F` finds it in ssh's own files, as ssh would."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .ssh_config import SSHSettings, ask

_LINE = re.compile(r"^(?!#)(?:@(?P<marker>\S+)\s+)?\S+\s+(?P<kind>\S+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s|$)")


@dataclass(frozen=True)
class KnownKey:
    """One line on a host: the kind of key, the key, and @revoked or @cert-authority where the line is marked."""

    kind: str
    key: bytes
    marker: str = ""


@dataclass(frozen=True)
class KnownHost:
    """What the files say of a host, and how strict ssh is to be about it."""

    name: str
    keys: tuple[KnownKey, ...]
    strictness: str

    @property
    def kinds(self) -> list[str]:
        """The kinds of key that it is known by, to be asked for first."""
        return list(dict.fromkeys(known.kind for known in self.keys if not known.marker))

    def why_not(self, kind: str, key: bytes) -> str | None:
        """Why ssh would not trust this key, or None."""
        plain = [known for known in self.keys if not known.marker]
        if any(known.key == key and known.marker == "revoked" for known in self.keys):
            return f"the host key of {self.name} is revoked"
        if any(known.key == key for known in plain):
            return None
        if any(known.kind == kind for known in plain):
            return f"the host key of {self.name} does not match the one in known_hosts"
        if self.strictness == "accept-new":
            return None
        if any(known.marker == "cert-authority" for known in self.keys):
            return f"{self.name} is known by its certificate authority alone; add its own key to known_hosts"
        return f"{self.name} was not found in known_hosts"

    @property
    def is_checked(self) -> bool:
        return self.strictness not in ("no", "off", "false")


def known_host(route: SSHSettings) -> KnownHost:
    """Look the host up in the files that ssh would look into. Raises Lost."""
    alias, hostname, port = route.get("hostkeyalias"), route.hostname, route.port
    bracketed = hostname if port == 22 else f"[{hostname}]:{port}"
    files = [*_files(route, "userknownhostsfile"), *_files(route, "globalknownhostsfile")]
    name = alias or bracketed
    keys = _lookup(name, files, route)
    if name not in (alias, hostname) and all(known.marker for known in keys):
        keys += _lookup(hostname, files, route)  # as ssh does where a port has no entry of its own
    return KnownHost(name, keys, route.get("stricthostkeychecking", "ask").lower())


def _lookup(name: str, files: list[Path], route: SSHSettings) -> tuple[KnownKey, ...]:
    keys: list[KnownKey] = []
    for file in files:
        for line in ask(["ssh-keygen", "-F", name, "-f", str(file)], route.address).stdout.splitlines():
            match = _LINE.match(line.strip())
            if match:
                try:
                    keys.append(KnownKey(match["kind"], base64.b64decode(match["key"]), match["marker"] or ""))
                except binascii.Error:
                    continue  # a damaged line, which ssh skips too
    return tuple(keys)


def _files(route: SSHSettings, setting: str) -> Iterator[Path]:
    """The files that a setting names. `ssh -G` prints them with spaces between, and spaces in them unmarked.

    Most versions of it have expanded the names; then a `%` in them is no token.
    """
    words = route.get(setting).split(" ")
    while words:
        names = [" ".join(words[:length]) for length in range(len(words), 0, -1)]
        paths = [Path(path) for name in names for path in (name, route.expanded(name))]
        # Unlike Path.is_file, this takes a folder that nobody may enter for what is not there, as ssh does.
        found = next((at for at, path in enumerate(paths) if os.path.isfile(path)), None)
        if found is not None:
            yield paths[found]
        words = words[1 if found is None else len(words) - found // 2 :]
