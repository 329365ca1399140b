# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Errors in a study file, as messages: one line each, with the place, what is wrong and what to do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .._plain import brief, few, plain_line
from .output_format import TAGS

_MOST_ERRORS = 50
_LONGEST_ERROR = 500
_KINDS = ("int", "bool", "choice", "vector")


class StudyError(Exception):
    """The study file is wrong. `errors`: a line each for the first fifty errors, and one that counts the others."""

    def __init__(self, path: Path, errors: Sequence[str]) -> None:
        self.errors = [plain_line(error, _LONGEST_ERROR) for error in errors[:_MOST_ERRORS]]
        if len(errors) > _MOST_ERRORS:
            self.errors.append(f"... and {len(errors) - _MOST_ERRORS} more")
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        head = f"{plain_line(path)}: {count} in the study; no host was touched:"
        super().__init__("\n".join([head, *(f"  - {error}" for error in self.errors)]))


def error_lines(error: ValidationError, notices: Sequence[str], keys: Collection[str]) -> list[str]:
    """A line for each error that pydantic found. keys: those of all models. notices: what presets left out."""
    details = error.errors(include_url=False)
    wrong_preset = any(detail["loc"][:1] == ("parameters",) for detail in details)
    lines = []
    for detail in details:
        nothing_to_tune = detail["loc"] == ("action_space",) and detail["type"] in ("missing", "too_short")
        if nothing_to_tune and notices:
            lines.append(f"parameters: nothing is left to tune: {few(notices, '; ')}")
        elif not (nothing_to_tune and wrong_preset):
            # Lines beyond the limit are only counted: do not search for similar keys, which is slow.
            lines.append(_line(detail, keys if len(lines) < _MOST_ERRORS else ()))
    return lines


def _line(error: Any, keys: Collection[str]) -> str:
    """One error as `place: what is wrong; what to do`."""
    place = ""
    for part in error["loc"]:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part not in (*_KINDS, *TAGS):
            place += f".{brief(part)}" if place else brief(part)
    name = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden" if name in keys:
            text = "this key does not belong here"
        case "extra_forbidden":
            similar = difflib.get_close_matches(brief(name), keys, n=1)
            text = f"unknown key; did you mean {similar[0]}?" if similar else "unknown key"
        case "missing":
            text = "required, but missing"
        case "too_short":
            text = f"must have at least {error['ctx']['min_length']} entries, not {error['ctx']['actual_length']}"
        case "too_long":
            text = f"must have at most {error['ctx']['max_length']} entries"
        case "model_type" | "model_attributes_type" | "dict_type":
            text = f"must be a mapping of keys to values, not {_shown(error['input'])}"
        case "string_type" if isinstance(error["input"], int | float):
            text = f"must be text, not {_shown(error['input'])}; put it in quotes"
        case "value_error":
            text = str(error["ctx"]["error"])
        case "union_tag_invalid":
            kind = error["input"].get("type")
            hint = " (kernel parameters are whole numbers)" if kind == "float" else ""
            place, text = f"{place}.type", f"unknown type '{brief(kind)}'; choose one of {', '.join(_KINDS)}{hint}"
        case _:
            # pydantic's messages begin with `Input should be` or `String should match`.
            text = re.sub(r"^\w+ should", "must", error["msg"]) + f", not {_shown(error['input'])}"
    return f"{place or 'the study'}: {text}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
