# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is wrong with a study, in words: one line a mistake, with its place and what would be right."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .._plain import brief, few, plain_line

_MOST = 50
_LONGEST = 500
_KINDS = ("int", "bool", "choice", "vector")


class StudyError(Exception):
    """The study file is wrong; `errors` has one line for each mistake, and one for those beyond the first fifty."""

    def __init__(self, path: Path, errors: Sequence[str]) -> None:
        self.errors = [plain_line(error, _LONGEST) for error in errors[:_MOST]]
        if len(errors) > _MOST:
            self.errors.append(f"... and {len(errors) - _MOST} more")
        count = "1 mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        place = plain_line(path)
        super().__init__(
            "\n".join([f"{place}: {count} in the study, nothing was touched:", *(f"  - {e}" for e in self.errors)])
        )


def lines_of(error: ValidationError, notices: Sequence[str], keys: Collection[str]) -> list[str]:
    """The mistakes that pydantic found. `keys`: all that a study knows; `notices`: what its presets have left out."""
    mistakes = error.errors(include_url=False)
    of_presets = any(mistake["loc"][:1] == ("parameters",) for mistake in mistakes)
    lines = []
    for mistake in mistakes:
        nothing_to_tune = mistake["loc"] == ("action_space",) and mistake["type"] in ("missing", "too_short")
        if nothing_to_tune and notices:
            lines.append(f"parameters: nothing is left to tune: {few(notices, '; ')}")
        elif not (nothing_to_tune and of_presets):
            # Beyond these nobody reads on, and looking for what each one means takes its time.
            lines.append(_line(mistake, keys if len(lines) < _MOST else ()))
    return lines


def _line(error: Any, keys: Collection[str]) -> str:
    """One mistake as `place: what is wrong; what would be right`."""
    place = ""
    for part in error["loc"]:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part not in _KINDS:
            place += f".{brief(part)}" if place else brief(part)
    name = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            close = [] if name in keys else difflib.get_close_matches(brief(name), keys, n=1)
            text = "does not belong here" if name in keys else "is not a key of a study"
            text += f"; did you mean {close[0]}?" if close else ""
        case "missing":
            text = "is missing"
        case "too_short":
            text = f"needs at least {error['ctx']['min_length']} entries, not {error['ctx']['actual_length']}"
        case "too_long":
            text = f"takes at most {error['ctx']['max_length']} entries"
        case "model_type" | "model_attributes_type" | "dict_type":
            text = f"should be keys with values, not {_shown(error['input'])}"
        case "string_type" if isinstance(error["input"], int | float):
            text = f"should be text, not {_shown(error['input'])}; put it in quotes"
        case "value_error":
            text = str(error["ctx"]["error"])
        case "union_tag_invalid":
            kind = error["input"].get("type")
            hint = " (kernel parameters are whole numbers)" if kind == "float" else ""
            place, text = f"{place}.type", f"'{brief(kind)}' is no type; there are {', '.join(_KINDS)}{hint}"
        case _:
            text = f"{error['msg'][0].lower()}{error['msg'][1:]}, not {_shown(error['input'])}"
    return f"{place or 'the study'}: {text}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
