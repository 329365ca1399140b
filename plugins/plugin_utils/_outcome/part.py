# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What every part of a result is made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt, StrictStr
from pydantic.functional_validators import AfterValidator


def _parameter(name: str) -> str:
    # Also a key in the YAML that is written from it, hence no "#", no blanks, and no ":" at its end.
    if not re.fullmatch(r"[a-z][A-Za-z0-9_@:+/.-]*[./][A-Za-z0-9_@:+/.-]*[A-Za-z0-9_]", name) or ".." in name:
        raise ValueError(f"{name!r} is no kernel parameter")
    return name


def _value(value: int | float | str) -> int | float | str:
    # Ansible evaluates {{ }} wherever it finds it in a role's defaults, and no kernel value has use for it.
    if isinstance(value, str) and (not value.isascii() or not value.isprintable() or re.search(r"\{[{%#]", value)):
        raise ValueError(f"{value!r} is no value for a kernel parameter")
    return value


Parameter = Annotated[str, AfterValidator(_parameter)]
Value = Annotated[StrictInt | StrictFloat | StrictStr, AfterValidator(_value)]


class Part(BaseModel):
    """What a part of a result has in common: it does not change, and has no NaN, which is no JSON."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)
