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
    """Of a folder that need not exist yet: the deepest part that does, its free bytes, and whether it is writable.

    A link to nothing exists, and nothing can be written to it.
    """
    path = folder.absolute()
    while not os.path.lexists(path):
        path = path.parent
    try:
        found = os.statvfs(path)
    except OSError:
        return path, 0, False
    return path, found.f_bavail * found.f_frsize, os.access(path, os.W_OK | os.X_OK)


def free_port(host: str) -> int:
    """A port that nobody uses at the moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as free:
        free.bind((host, 0))
        port: int = free.getsockname()[1]
    return port


def firewalls(port: int) -> dict[str, bool | None]:
    """The active firewalls of this machine: whether each lets the port through, None if that cannot be found out."""
    found: dict[str, bool | None] = {}
    if _ufw.is_enabled():
        found["ufw"] = _through_ufw(port)
    if running(["firewalld"]):
        answer = _output_of(["firewall-cmd", f"--query-port={port}/tcp"]).strip()
        found["firewalld"] = {"yes": True, "no": False}.get(answer)
    return found


def _through_ufw(port: int) -> bool | None:
    lines = _output_of(["ufw", "status"]).splitlines()  # root alone may ask
    if "Status: inactive" in lines:
        return True
    rules = [re.match(r"([\d:,]+)(?:/tcp)?\s+(?:ALLOW|LIMIT)\b", line) for line in lines]
    if any(rule and _has_port(rule[1], port) for rule in rules):
        return True
    return False if "Status: active" in lines else None


def _has_port(ports: str, port: int) -> bool:
    """Of ufw's lists and ranges, as in 80,8000:9000."""
    ends = [each.split(":") for each in ports.split(",") if each.replace(":", "").isdecimal()]
    return any(int(each[0]) <= port <= int(each[-1]) for each in ends if all(each))


def _output_of(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
