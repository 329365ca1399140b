# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reads a study file: reports all errors at once, and finds the files to copy to the hosts."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._kernel import canonical_name
from pydantic import BaseModel, ValidationError

from .._plain import brief
from . import guard_benchmarks, parameters, sections
from .command_line import files_named
from .errors import StudyError, error_lines
from .expansion import expand_study
from .guard_benchmarks import GuardBenchmark
from .host_facts import HostFacts, safe_on_all
from .parser import parse
from .study import Study

__all__ = ["StudyError", "StudyFile", "read_study"]

Find = Callable[[str], Path | None]

_MODELS = [Study, *(value for module in (parameters, sections, guard_benchmarks) for value in vars(module).values())]
_KEYS = {
    key
    for model in _MODELS
    if isinstance(model, type) and issubclass(model, BaseModel)
    for key in model.model_fields
}  # fmt: skip


@dataclass(frozen=True)
class StudyFile:
    """A study, and the files to copy to the hosts, as (path on the controller, path in the benchmark's folder).

    guard_files: the same for each guard benchmark, by its name. notices: what the user should know although nothing is
    wrong.
    """

    study: Study
    files: list[tuple[Path, str]]
    notices: list[str] = field(default_factory=list)
    guard_files: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)


def read_study(path: Path, folder: Path, hosts: Sequence[HostFacts] = (), *, run_on: str | None = None) -> StudyFile:
    """The study at `path`; the files that it names are searched next to it, then in `folder`.

    `hosts`, those of the run as far as known, decide what presets contain and which values are safe. run_on: takes
    precedence over that of the study, and of the studies of its guard benchmarks.
    Raises StudyError with all errors in the file.
    """
    override = {"run_on": run_on} if run_on else {}
    data, notices = expand_study(parse(path) | override, hosts)
    notices = [*_writable(path), *notices]

    def find_beside(guard_study: str | None) -> Find:
        return _finder((path.parent / guard_study).parent if guard_study else path.parent, folder)

    def read_guard_study(name: str) -> dict[str, Any]:
        there = path.parent / name
        if os.path.realpath(there) == os.path.realpath(path):  # Path.resolve fails in a loop of links
            raise ValueError(f"{brief(name)} is this study itself; name another workload's")
        try:
            content = parse(there)
        except StudyError as error:
            raise ValueError(f"{brief(name)}: {'; '.join(error.errors)}") from None
        notices.extend(_writable(there))
        return content | override

    find = find_beside(None)
    allowed = data.get("allow_unsafe")
    context = {
        "find_beside": find_beside,
        "read_guard_study": read_guard_study,
        "allow_unsafe": [_canonical(name) for name in allowed] if isinstance(allowed, list) else [],
        "safe": lambda setting: safe_on_all(setting, hosts),
    }
    try:
        study = Study.model_validate(data, context=context)
    except ValidationError as error:
        raise StudyError(path, error_lines(error, notices, _KEYS)) from None
    guard_files = {guard.name: _files(guard, find_beside(guard.study)) for guard in study.guard_benchmarks}
    return StudyFile(study, _files(study, find), notices, guard_files)


def _files(workload: Study | GuardBenchmark, find: Find) -> list[tuple[Path, str]]:
    scripts = [name for words in workload.commands for name in files_named(words, find)]
    found = [(find(name), name) for name in dict.fromkeys([*scripts, *workload.files])]
    return [(source, name) for source, name in found if source]


def _finder(*places: Path) -> Find:
    def find(name: str) -> Path | None:
        # Unlike Path.is_file, os.path.isfile returns False for a name that is too long or a folder without access.
        paths = (place / name for place in places)
        return next((found for found in paths if os.path.isfile(found) and os.access(found, os.R_OK)), None)

    return find


def _writable(path: Path) -> list[str]:
    if not path.stat().st_mode & stat.S_IWOTH:
        return []
    return [f"{path} is writable for everyone, and its commands run on the hosts: chmod o-w it"]


def _canonical(name: Any) -> Any:
    try:
        return canonical_name(name)
    except ValueError:
        return name
