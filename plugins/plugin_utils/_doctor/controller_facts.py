# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What there is on the controller: packages, room, firewalls. Needs no package beyond ansible-core itself."""

from __future__ import annotations

import importlib.metadata
import os
import re
import socket
import subprocess
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ansible_collections.autotune.kernel.plugins.module_utils import _ufw
from ansible_collections.autotune.kernel.plugins.module_utils._facts import running

_COLLECTION = Path(__file__).absolute().parents[3]
_FIREWALLS = {
    "ufw": (["ufw", "status"], r"^{port}(/tcp)?\s+ALLOW"),
    "firewalld": (["firewall-cmd", "--query-port={port}/tcp"], "^yes"),
}


def requirements() -> list[str]:
    """The Python packages that the collection needs: as the checkout declares them, or its package, or its archive."""
    project = _COLLECTION / "pyproject.toml"
    if project.is_file():
        declared: list[str] = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
        return declared
    with suppress(importlib.metadata.PackageNotFoundError):
        packaged = importlib.metadata.requires("autotune-kernel") or []
        return [text.replace(" ", "") for text in packaged if ";" not in text]  # with one, it belongs to an extra
    lines = (_COLLECTION / "meta/ee-requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def versions(needed: Iterable[str]) -> dict[str, str]:
    """The installed version of each package that is installed."""
    found = {}
    for name in (re.split("[<>=]", requirement)[0] for requirement in needed):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def room(folder: Path) -> tuple[Path, int, bool]:
    """Of a folder that need not exist yet: the deepest part that does, its free bytes, and whether it is writable."""
    path = folder.absolute()
    while not os.path.lexists(path):
        path = path.parent
    found = os.statvfs(path)
    return path, found.f_bavail * found.f_frsize, os.access(path, os.W_OK | os.X_OK)


def free_port(host: str) -> int:
    """A port that nobody uses at the moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as free:
        free.bind((host, 0))
        port: int = free.getsockname()[1]
    return port


def closed_firewalls(port: int) -> list[str]:
    """The firewalls of this machine that are active and do not let the port through."""
    active = [*(["ufw"] if _ufw.is_enabled() else []), *running(["firewalld"])]
    return [name for name in active if not _lets_through(name, port)]


def _lets_through(name: str, port: int) -> bool:
    command, sign = _FIREWALLS[name]
    try:
        ran = subprocess.run(
            [word.format(port=port) for word in command], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(sign.format(port=port), ran.stdout, re.MULTILINE) is not None
