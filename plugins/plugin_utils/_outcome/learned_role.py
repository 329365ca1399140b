# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The files beside result.json: the learned role, its playbooks and the report.

Only what carries the mark is ever overwritten or removed: a file that somebody else has put there is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import report, text
from .result import Result, read, write_whole

MARK = "Written by autotune.kernel"
_REPORT = "report.html"
_MARK_LINE = f"{MARK} from result.json; the next run of the study overwrites it."


class ForeignFileError(Exception):
    """A file is in the way that autotune.kernel has not written; the message is one line that says which."""


@dataclass(frozen=True)
class Plan:
    """What has to be written and removed so that a folder says what its result.json says.

    `role` is the learned role's name, None where the verdict allows none; `files` is everything that is to be there.
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
    """Compare `folder` with its result.json; touches nothing. Raises ResultError and ForeignFileError."""
    result = read(folder)
    wanted = {folder / name: content for name, content in _contents(result).items()}
    removals = [] if result.improved else [path for path in _of_the_role(folder, result) if path.exists()]
    for path in [*wanted, *removals]:
        _refuse_foreign(path)
    writes = {path: content for path, content in wanted.items() if _read(path) != content}
    return Plan(folder, result.role if result.improved else None, tuple(wanted), writes, tuple(removals))


def carry_out(plan: Plan) -> None:
    """Write and remove what `plan` says; what says less than before goes first."""
    for path in plan.removals:
        path.unlink()
        _remove_empty(path.parent, up_to=plan.folder)
    for path, content in plan.writes.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def withdraw(folder: Path, result: Result) -> None:
    """Before `result` is written: remove what an earlier result has left in `folder` and this one would say otherwise.

    Nothing may be at hand to apply that the result does not call for, whether or not the play lives to call plan().
    Raises OSError.
    """
    wanted = {folder / name: content for name, content in _contents(result).items()}
    for path in [folder / _REPORT, *_of_the_role(folder, result)]:
        content = _read(path) if path.is_file() else None
        if content is not None and content != wanted.get(path) and _is_ours(content):
            path.unlink()
            _remove_empty(path.parent, up_to=folder)


def _contents(result: Result) -> dict[str, str]:
    """Path in the folder -> content."""
    contents = {_REPORT: report.render(result, _MARK_LINE)}
    if result.improved:
        for path, template in _templates(result.role).items():
            contents[path] = _render(template, result)
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


def _of_the_role(folder: Path, result: Result) -> list[Path]:
    """What an improved result leaves and another one takes away; roll-back stays, an earlier role may be applied."""
    stays = ("rollback.yml", "collections/requirements.yml")
    return [folder / path for path in _templates(result.role) if path not in stays]


def _render(template: str, result: Result) -> str:
    # Brackets instead of braces: {{ }} in these templates is Ansible's.
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
        autoescape=False,  # noqa: S701  YAML and Markdown, each text through its own filter
    )
    for filter_ in (
        text.comment,
        text.markdown,
        text.number,
        text.per_cent,
        text.gain,
        text.found,
        text.contributes,
        text.names,
    ):
        environment.filters[filter_.__name__] = filter_
    environment.filters["scalar"] = json.dumps  # every JSON scalar is a YAML one
    return environment.get_template(template).render(
        result=result,
        mark=_MARK_LINE,
        hosts=", ".join(f"{name} (kernel {host.kernel})" for name, host in result.per_host.items()),
        version=text.version_of(result, "autotune.kernel"),
        versions=", ".join(f"{name} {version}" for name, version in result.versions.items()),
    )


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        raise ForeignFileError(f"{path} is a folder where a file belongs: move it away. Nothing was written.")
    content = _read(path)
    if content is not None and not _is_ours(content):
        raise ForeignFileError(
            f"{path} has no line '{MARK}', so it is somebody else's: move it away. Nothing was written."
        )


def _is_ours(content: str) -> bool:
    return MARK in "\n".join(content.splitlines()[:5])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _remove_empty(folder: Path, *, up_to: Path) -> None:
    while folder != up_to and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
