# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the MCP server may touch: files below one folder, the collection's own benchmarks, and one store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ..plugins.plugin_utils._plain import brief
from ..plugins.plugin_utils._store.url import chosen
from .playbooks import COLLECTION

LIBRARY = COLLECTION / "benchmarks"
# Ansible reads `-i a,b` as names of hosts, and `{{ }}` in a setting as a template.
_SPECIAL = re.compile(r"[,\x00-\x1f\x7f]|\{[{%#]")
_WORKLOAD = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)


class PathRefused(ValueError):
    """A path that the server does not use; the message is one line that says why, and which paths it does use."""


@dataclass(frozen=True)
class Site:
    """root, output: absolute, with symbolic links resolved. store: a SQLAlchemy URL.

    allow_apply: whether hosts may be changed for a client that cannot ask its user.
    """

    root: Path
    output: Path
    store: str
    allow_apply: bool = False

    @classmethod
    def of(cls, root: str, output: str, store: str | None, *, allow_apply: bool = False) -> Site:
        """The site that the options name; output is relative to root. Raises PathRefused."""
        folder = Path(root).resolve()
        if not folder.is_dir():
            raise PathRefused(f"--root {brief(root)} is not a folder")
        results = inside(output, [folder], must_exist=False)
        return cls(folder, results, chosen(store, results, folder), allow_apply)

    @property
    def beside_store(self) -> Path:
        """The folder of a SQLite store; for another database, that of the results."""
        try:
            url = make_url(self.store)
        except (ArgumentError, ValueError):  # whoever opens it says what is wrong
            return self.output
        is_file = url.get_backend_name() == "sqlite" and url.database
        return Path(url.database or "").absolute().parent if is_file else self.output

    def path(self, text: str) -> Path:
        """An existing path below root, resolved. Raises PathRefused."""
        return inside(text, [self.root])

    def study(self, text: str) -> Path:
        """A study file below root, or in the collection's benchmarks. Raises PathRefused."""
        found = inside(text, [self.root, LIBRARY.resolve()])
        if not found.is_file():
            raise PathRefused(f"{brief(text)} is not a file; name a study.yml")
        return found

    def learned(self, workload: str) -> Path:
        """The folder of a workload's result. Raises PathRefused."""
        if not _WORKLOAD.fullmatch(workload):
            raise PathRefused(f"'{brief(workload)}' is not the name of a workload; list_studies lists them")
        return inside(str(self.output / workload), [self.root])


def inside(text: str, roots: list[Path], *, must_exist: bool = True) -> Path:
    """The path, relative to the first root, with symbolic links resolved. Raises PathRefused unless it is in a root.

    roots: resolved themselves.
    """
    if not text:
        raise PathRefused("the path is empty; name one below the server's --root")
    try:
        path = (roots[0] / text).resolve()
        exists = any(path.is_relative_to(root) for root in roots) and path.exists()
    except (OSError, RuntimeError, ValueError):  # too long; a loop of links; NUL or a lone surrogate
        raise PathRefused(f"{brief(text)} is not a usable path") from None
    if not any(path.is_relative_to(root) for root in roots):
        raise PathRefused(f"{brief(text)} is outside {brief(roots[0])}; the server's --root sets that folder")
    if _SPECIAL.search(str(path)):
        raise PathRefused(f"{brief(text)} has a character that Ansible reads as something else; rename it")
    if must_exist and not exists:
        raise PathRefused(f"{brief(text)} does not exist below {brief(roots[0])}")
    return path
