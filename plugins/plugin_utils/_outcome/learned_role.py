# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The files generated from result.json: the learned role, its playbooks and the report.

Only files that contain the mark are overwritten or removed; any other file in their place is an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ansible_collections.autotune.kernel.plugins.module_utils import _durable
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import filters, html_report
from .result import Result, read

MARK = "Written by autotune.kernel"
_MARK_LINE = f"{MARK} from result.json; the next run of the study overwrites it."
_REPORT = "report.html"
# What stays when the role is removed: the earlier role may still be applied somewhere.
_ROLLBACK = ("rollback.yml", "collections/requirements.yml")


class ForeignFileError(Exception):
    """A file that autotune.kernel did not write is in the way; the message is one line that names it."""


@dataclass(frozen=True)
class Plan:
    """What must be written and removed so that a folder agrees with its result.json.

    role: the learned role's name, None unless the verdict is `improved`. files: everything that belongs to the result.
    """

    folder: Path
    role: str | None
    files: tuple[Path, ...]
    writes: dict[Path, str]
    removals: tuple[Path, ...]

    @property
    def changed(self) -> bool:
        return bool(self.writes or self.removals)


def plan(folder: Path) -> Plan:
    """Compare `folder` with its result.json, changing nothing. Raises ResultError and ForeignFileError."""
    result = read(folder)
    contents = {folder / name: content for name, content in _contents(result).items()}
    removals = [] if result.improved else [path for path in _removable(folder, result) if path.exists()]
    for path in [*contents, *removals]:
        _refuse_foreign(path)
    writes = {path: content for path, content in contents.items() if _read(path) != content}
    return Plan(folder, result.role if result.improved else None, tuple(contents), writes, tuple(removals))


def carry_out(plan: Plan) -> None:
    """Write and remove what `plan` says; removals come first."""
    for path in plan.removals:
        _remove(path, plan.folder)
    for path, content in plan.writes.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _durable.write(str(path), content.encode(), locked=False)


def withdraw(folder: Path, result: Result) -> None:
    """Remove the files of an earlier result that `result`, which is about to be written, would change.

    So nothing that the new result does not support can be applied, even if the playbook is interrupted before plan().
    Raises OSError.
    """
    contents = {folder / name: content for name, content in _contents(result).items()}
    for path in [folder / _REPORT, *_removable(folder, result)]:
        content = _read(path) if path.is_file() else None
        if content is not None and content != contents.get(path) and _is_ours(content):
            _remove(path, folder)


def _contents(result: Result) -> dict[str, str]:
    """The content of each file by its path in the folder."""
    contents = {_REPORT: html_report.render(result, _MARK_LINE)}
    if result.improved:
        environment = _environment()
        for path, template in _templates(result.role).items():
            contents[path] = environment.get_template(template).render(
                result=result,
                mark=_MARK_LINE,
                hosts=", ".join(f"{name} (kernel {host.kernel})" for name, host in result.per_host.items()),
                version=_collection_version(result),
                versions=", ".join(f"{name} {version}" for name, version in result.versions.items()),
            )
    return contents


def _templates(role: str) -> dict[str, str]:
    return {
        f"roles/{role}/defaults/main.yml": "role/defaults.yml.j2",
        f"roles/{role}/tasks/main.yml": "role/tasks.yml.j2",
        f"roles/{role}/meta/main.yml": "role/meta.yml.j2",
        f"roles/{role}/meta/argument_specs.yml": "role/argument_specs.yml.j2",
        f"roles/{role}/README.md": "role/README.md.j2",
        "rollback.yml": "rollback.yml.j2",
        "collections/requirements.yml": "requirements.yml.j2",
        "apply.yml": "apply.yml.j2",
    }


def _removable(folder: Path, result: Result) -> list[Path]:
    return [folder / path for path in _templates(result.role) if path not in _ROLLBACK]


def _environment() -> Environment:
    # Brackets instead of braces, because {{ }} in these templates is Ansible's.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  YAML and Markdown; every text goes through its own filter
    )
    environment.filters.update(filters.FILTERS)
    # Every JSON scalar is a YAML scalar; but not as ASCII, as YAML does not join JSON's pairs of escapes.
    environment.filters["scalar"] = partial(json.dumps, ensure_ascii=False)
    environment.filters["key"] = key
    return environment


def key(parameter: str) -> str:
    """The parameter as a YAML key or text, in quotes only if its name needs them."""
    is_plain = re.fullmatch(r"[a-z][A-Za-z0-9_@+/.-]*[A-Za-z0-9_]", parameter)
    return parameter if is_plain else json.dumps(parameter, ensure_ascii=False)


def _collection_version(result: Result) -> str | None:
    version = result.versions.get("autotune.kernel", "")
    return version if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]*", version) else None


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        raise ForeignFileError(f"{path} is a folder where a file belongs: move it away. Nothing was written.")
    content = _read(path)
    if content is not None and not _is_ours(content):
        raise ForeignFileError(
            f"{path} has no line '{MARK}', so autotune.kernel did not write it: move it away. Nothing was written."
        )


def _is_ours(content: str) -> bool:
    return MARK in "\n".join(content.splitlines()[:5])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _remove(path: Path, root: Path) -> None:
    """Remove a file, and the folders between it and `root` that are empty then."""
    path.unlink()
    folder = path.parent
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
