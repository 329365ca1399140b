# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reading a study file: every error at once, each with its place in the file and what would be right."""

from __future__ import annotations

import difflib
import json
import re
import stat
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.autotune.kernel.plugins.module_utils._procfs import canonical_name
from pydantic import BaseModel, ValidationError

from .command import files_named
from .completion import completed
from .guard import Caution, Guard
from .objectives import EarlyStopping, Objective
from .parameters import BoolParameter, ChoiceParameter, Element, IntParameter, VectorParameter
from .presets import KnownHost, safe_on_all
from .study import RewardWeights, StateMetric, Study, TrainingConfig
from .verification import GuardMetric, Verification

_LARGEST = 1_000_000
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
_KINDS = ("int", "bool", "choice", "vector")


class StudyError(Exception):
    """The study file is wrong; `errors` has one line for each mistake."""

    def __init__(self, path: Path, errors: list[str]) -> None:
        self.errors = errors
        count = "1 mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        super().__init__(
            "\n".join([f"{path}: {count} in the study, nothing was touched:", *(f"  - {e}" for e in errors)])
        )


@dataclass(frozen=True)
class StudyFile:
    """A study and the files to ship with it, as (path on the controller, path in the benchmark's folder).

    notices: what the user should know of the study, though nothing is wrong with it.
    """

    study: Study
    files: list[tuple[Path, str]]
    notices: list[str] = field(default_factory=list)


class _StudyLoader(yaml.SafeLoader):
    """YAML as people mean it: no key twice, no aliases (they can explode), no octal or base 60 numbers by accident."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not read in a study",
                problem_mark=self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, dummy in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key}' is there twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_plain_int(self, node: yaml.ScalarNode) -> int:
        if re.fullmatch(r"[-+]?0\d[\d_]*|.*:.*", node.value):
            problem = f"'{node.value}' is another number in YAML than it looks like; write it as plain decimal digits"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        number: int = self.construct_yaml_int(node)
        return number


_StudyLoader.add_constructor("tag:yaml.org,2002:int", _StudyLoader.construct_plain_int)
# YAML 1.1 takes 1e-3 for text; nobody else does.
_StudyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_study(path: Path, folder: Path, hosts: Sequence[KnownHost] = ()) -> StudyFile:
    """The study at `path`; the files it names are looked for beside it, then in `folder`.

    `hosts` are those of the run, as far as they are known: presets and safe ranges depend on them.
    Raises StudyError with every mistake in it.
    """
    data, notices = completed(_parse(path), hosts)
    if path.stat().st_mode & stat.S_IWOTH:
        notices.insert(0, f"anybody here can change {path}, and its commands run on the hosts: chmod o-w it")

    def find(name: str) -> Path | None:
        return next((place / name for place in (path.parent, folder) if (place / name).is_file()), None)

    try:
        allowed = data.get("allow_unsafe")
        context = {
            "find": find,
            "allow_unsafe": [_canonical(name) for name in allowed] if isinstance(allowed, list) else [],
            "safe": lambda setting: safe_on_all(setting, hosts),
        }
        study = Study.model_validate(data, context=context)
    except ValidationError as error:
        raise StudyError(path, _lines(error, notices)) from None
    named = [name for words in study.commands for name in files_named(words, find)]
    names = dict.fromkeys([*named, *study.files])
    found = [(find(name), name) for name in names]
    return StudyFile(study, [(source, name) for source, name in found if source], notices)


def _parse(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StudyError(path, ["is not a file; give the path of a YAML or JSON study"])
        if status.st_size > _LARGEST:
            raise StudyError(path, [f"is larger than {_LARGEST} bytes; a study is a page of text"])
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(path, [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise StudyError(path, [f"is not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates) if path.suffix == ".json" else _yaml(text)
    except json.JSONDecodeError as error:
        raise StudyError(path, [f"line {error.lineno}, column {error.colno}: {error.msg}"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise StudyError(path, [f"{place}{error.problem or 'is not YAML'}"]) from None
    except RecursionError:
        raise StudyError(path, ["is nested too deeply"]) from None
    except (ValueError, yaml.YAMLError) as error:
        raise StudyError(path, [str(error).splitlines()[0]]) from None
    if not isinstance(data, dict):
        raise StudyError(path, ["is empty" if data is None else "must be a mapping of keys to values at its top"])
    return data


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_StudyLoader)  # noqa: S506 (a SafeLoader)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, dummy in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"'{key}' is there twice")
    return dict(pairs)


def _canonical(name: Any) -> Any:
    try:
        return canonical_name(name)
    except ValueError:
        return name


def _lines(error: ValidationError, notices: Sequence[str]) -> list[str]:
    mistakes = error.errors()
    of_presets = any(mistake["loc"][:1] == ("parameters",) for mistake in mistakes)
    lines = []
    for mistake in mistakes:
        nothing_to_tune = mistake["loc"] == ("action_space",) and mistake["type"] in ("missing", "too_short")
        if nothing_to_tune and notices:
            lines.append(f"parameters: nothing is left to tune: {'; '.join(notices)}")
        elif not (nothing_to_tune and of_presets):
            lines.append(_line(mistake))
    return lines


def _line(error: Any) -> str:
    """One mistake as `place: what is wrong; what would be right`."""
    place = ""
    for part in error["loc"]:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part not in _KINDS:
            place += f".{part}" if place else str(part)
    name = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            known = {field for model in _MODELS for field in model.model_fields}
            close = [] if name in known else difflib.get_close_matches(name, known, n=1)
            text = "does not belong here" if name in known else "is not a key of a study"
            text += f"; did you mean {close[0]}?" if close else ""
        case "missing":
            text = "is missing"
        case "too_short":
            text = f"needs at least {error['ctx']['min_length']} entries, not {error['ctx']['actual_length']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            text = f"should be keys with values, not {_shown(error['input'])}"
        case "string_type" if isinstance(error["input"], int | float):
            text = f"should be text, not {_shown(error['input'])}; put it in quotes"
        case "value_error":
            text = str(error["ctx"]["error"])
        case "union_tag_invalid":
            kind = error["input"].get("type")
            hint = " (kernel parameters are whole numbers)" if kind == "float" else ""
            place, text = f"{place}.type", f"'{kind}' is no type; there are {', '.join(_KINDS)}{hint}"
        case _:
            text = f"{error['msg'][0].lower()}{error['msg'][1:]}, not {_shown(error['input'])}"
    return f"{place or 'the study'}: {text}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
