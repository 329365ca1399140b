# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reading a study file: every error at once, each with its place in the file and what would be right."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils._kernel import canonical_name
from pydantic import BaseModel, ValidationError

from .command import files_named
from .completion import completed
from .guard import Caution, Guard
from .mistakes import StudyError, lines_of
from .objectives import EarlyStopping, Objective
from .parameters import BoolParameter, ChoiceParameter, Element, IntParameter, VectorParameter
from .presets import KnownHost, safe_on_all
from .reading import parse
from .study import RewardWeights, StateMetric, Study, TrainingConfig
from .verification import GuardMetric, Verification

__all__ = ["StudyError", "StudyFile", "read_study"]

_MODELS: tuple[type[BaseModel], ...] = (
    Study,
    TrainingConfig,
    Verification,
    GuardMetric,
    RewardWeights,
    Guard,
    Caution,
    Objective,
    EarlyStopping,
    StateMetric,
    IntParameter,
    BoolParameter,
    ChoiceParameter,
    VectorParameter,
    Element,
)
_KEYS = {field for model in _MODELS for field in model.model_fields}


@dataclass(frozen=True)
class StudyFile:
    """A study and the files to ship with it, as (path on the controller, path in the benchmark's folder).

    notices: what the user should know of the study, though nothing is wrong with it.
    """

    study: Study
    files: list[tuple[Path, str]]
    notices: list[str] = field(default_factory=list)


def read_study(path: Path, folder: Path, hosts: Sequence[KnownHost] = ()) -> StudyFile:
    """The study at `path`; the files it names are looked for beside it, then in `folder`.

    `hosts` are those of the run, as far as they are known: presets and safe ranges depend on them.
    Raises StudyError with every mistake in it.
    """
    data, notices = completed(parse(path), hosts)
    if path.stat().st_mode & stat.S_IWOTH:
        notices.insert(0, f"anybody here can change {path}, and its commands run on the hosts: chmod o-w it")

    def find(name: str) -> Path | None:
        places = (place / name for place in (path.parent, folder))
        # Unlike Path.is_file, these take a name of any length and a folder that nobody may enter for what is not there.
        return next((place for place in places if os.path.isfile(place) and os.access(place, os.R_OK)), None)

    try:
        allowed = data.get("allow_unsafe")
        context = {
            "find": find,
            "allow_unsafe": [_canonical(name) for name in allowed] if isinstance(allowed, list) else [],
            "safe": lambda setting: safe_on_all(setting, hosts),
        }
        study = Study.model_validate(data, context=context)
    except ValidationError as error:
        raise StudyError(path, lines_of(error, notices, _KEYS)) from None
    named = [name for words in study.commands for name in files_named(words, find)]
    names = dict.fromkeys([*named, *study.files])
    found = [(find(name), name) for name in names]
    return StudyFile(study, [(source, name) for source, name in found if source], notices)


def _canonical(name: Any) -> Any:
    try:
        return canonical_name(name)
    except ValueError:
        return name
