# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The entries of a study's action_space: one model for each type of parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Literal, Self

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import find, outside
from ansible_collections.autotune.kernel.plugins.module_utils._denylist import denied_because
from ansible_collections.autotune.kernel.plugins.module_utils._kernel import canonical_name
from ansible_collections.autotune.kernel.plugins.module_utils._value import normalized
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from .._plain import brief
from .space import Axis, Layout, Value


class Strict(BaseModel):
    """Unknown keys are errors, and so are values of another type: "10" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


ParameterName = Annotated[str, Field(max_length=255)]
# The kernel has signed and unsigned numbers of 64 bits.
Number = Annotated[int, Field(ge=-(2**63), lt=2**64)]


Step = Annotated[int | None, Field(ge=1)]


def _check_range(low: int, high: int, *, log: bool, step: int | None) -> None:
    if low >= high:
        raise ValueError(f"min ({low}) must be below max ({high})")
    if log and low <= 0:
        raise ValueError(f"a log scale needs min above 0, not {low}")
    if (high - low) % (step or 1):
        raise ValueError(f"step {step} does not divide the range {low} to {high}")


class Parameter(Strict):
    """What all types have in common.

    optional: left out on all hosts if one of them lacks it (see expansion.py). restart: the study's service reads it
    only when it starts.
    """

    param: ParameterName
    description: str = ""
    optional: bool = False
    restart: bool = False

    @field_validator("param")
    @classmethod
    def _check_denylist(cls, name: str, info: ValidationInfo) -> str:
        name = canonical_name(name)
        if info.context and (reason := denied_because(name)) and name not in info.context["allow_unsafe"]:
            raise ValueError(f"{name} is on the denylist: {reason}; to tune it anyway, add it to allow_unsafe")
        return name

    @model_validator(mode="after")
    def _check_values(self, info: ValidationInfo) -> Self:
        self.check()
        if info.context and self.param not in info.context["allow_unsafe"]:
            setting = find(self.param)
            safe = info.context["safe"](setting) if setting else None
            if safe and (why := self.why_unsafe(safe)):
                raise ValueError(f"{why}; narrow it, or add {self.param} to allow_unsafe")
        return self

    def check(self) -> None:
        """Raises ValueError if the values contradict each other."""

    def extremes(self) -> list[str]:
        """As the kernel shows them: the ends of a range, or all choices."""
        raise NotImplementedError

    def why_unsafe(self, safe: Sequence[Any]) -> str | None:
        """Which value is not among `safe`, which has the form of the catalogue's safe_range(); None if all are."""
        return why_unsafe(self.param, self.extremes(), safe)

    def axes(self) -> list[Axis]:
        raise NotImplementedError

    def layout(self) -> Layout:
        return Layout(self.param, fixed={}, elements=1, ordered=False)


class IntParameter(Parameter):
    type: Literal["int"]
    min: Number
    max: Number
    log: bool = False
    step: Step = None

    def check(self) -> None:
        _check_range(self.min, self.max, log=self.log, step=self.step)

    def extremes(self) -> list[str]:
        return [str(self.min), str(self.max)]

    def why_unsafe(self, safe: Sequence[Any]) -> str | None:
        setting = find(self.param)
        if setting is None or not setting.choices:
            return why_unsafe(self.param, self.extremes(), safe, are_ends=True)
        numbers = islice(range(self.min, self.max + 1, self.step or 1), len(safe) + len(setting.special) + 1)
        return why_unsafe(self.param, [str(number) for number in numbers], safe)

    def axes(self) -> list[Axis]:
        return [Axis(self.param, 0, self.min, self.max, log=self.log, step=self.step or 1)]


class BoolParameter(Parameter):
    type: Literal["bool"]

    def extremes(self) -> list[str]:
        return ["0", "1"]

    def axes(self) -> list[Axis]:
        return [Axis(self.param, 0, 0, 1, step=1, choices=(0, 1))]


class ChoiceParameter(Parameter):
    type: Literal["choice"]
    choices: list[int | str] = Field(min_length=2, max_length=1000)

    @field_validator("choices", mode="before")
    @classmethod
    def _check_choice_types(cls, choices: Any) -> Any:
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, bool):
                word = str(choice).lower()
                raise ValueError(f"a choice cannot be {word}; write 1 or 0, or put yes, no, on and off in quotes")
            if not isinstance(choice, int | str):
                raise ValueError(f"a choice cannot be {brief(choice)}; write whole numbers, or text in quotes")
        return choices

    @field_validator("choices")
    @classmethod
    def _check_choices(cls, choices: list[int | str], info: ValidationInfo) -> list[int | str]:
        choices = [kernel_text(choice) if isinstance(choice, str) else choice for choice in choices]
        if name := info.data.get("param"):
            # In the kernel's spelling, since requested and applied values are compared.
            choices = [normalized(name, choice) if isinstance(choice, str) else choice for choice in choices]
        if len(set(map(str, choices))) < len(choices):
            raise ValueError("a choice is listed twice")
        if any(not str(choice).strip() or not str(choice).isprintable() for choice in choices):
            raise ValueError("every choice must be printable text or a whole number")
        return choices

    def extremes(self) -> list[str]:
        return [kernel_text(choice) for choice in self.choices]

    def axes(self) -> list[Axis]:
        return [Axis(self.param, 0, 0, len(self.choices) - 1, step=1, choices=tuple(self.choices))]


class Element(Strict):
    """One number of a vector, either fixed (`value`) or searched (`min` to `max`)."""

    value: Number | None = None
    min: Number | None = None
    max: Number | None = None
    log: bool = False
    step: Step = None

    @model_validator(mode="after")
    def _check_element(self) -> Self:
        if self.value is not None:
            if self.min is not None or self.max is not None:
                raise ValueError("has both a value and a range; give `value`, or `min` and `max`")
        elif self.min is None or self.max is None:
            raise ValueError("needs `value`, or `min` and `max`")
        else:
            _check_range(self.min, self.max, log=self.log, step=self.step)
        return self


class VectorParameter(Parameter):
    """Several numbers in one parameter, such as net.ipv4.tcp_rmem; `ordered` ones never decrease."""

    type: Literal["vector"]
    elements: list[Element] = Field(min_length=2, max_length=32)
    ordered: bool = True

    @field_validator("elements")
    @classmethod
    def _check_search(cls, elements: list[Element]) -> list[Element]:
        if all(element.value is not None for element in elements):
            raise ValueError("all elements have a fixed value; at least one needs `min` and `max`")
        return elements

    def extremes(self) -> list[str]:
        lowest = [element.min if element.value is None else element.value for element in self.elements]
        highest = [element.max if element.value is None else element.value for element in self.elements]
        return [" ".join(map(str, numbers)) for numbers in (lowest, highest)]

    def axes(self) -> list[Axis]:
        return [
            Axis(self.param, at, element.min, element.max, log=element.log, step=element.step or 1)
            for at, element in enumerate(self.elements)
            if element.min is not None and element.max is not None
        ]

    def layout(self) -> Layout:
        fixed: dict[int, float] = {
            at: element.value for at, element in enumerate(self.elements) if element.value is not None
        }
        return Layout(self.param, fixed=fixed, elements=len(self.elements), ordered=self.ordered)


def _default_type(data: Any) -> Any:
    """The type, if omitted, follows from the keys."""
    if isinstance(data, dict) and "type" not in data:
        kind = "choice" if "choices" in data else "vector" if "elements" in data else "int"
        return {**data, "type": kind}
    return data


AnyParameter = Annotated[
    Annotated[IntParameter | BoolParameter | ChoiceParameter | VectorParameter, Field(discriminator="type")],
    BeforeValidator(_default_type),
]


def why_unsafe(parameter: str, texts: Sequence[str], safe: Sequence[Any], *, are_ends: bool = False) -> str | None:
    """Which value, as the kernel shows it, is not among `safe` (see Parameter.why_unsafe); None if all are.

    are_ends: of a range.
    """
    setting = find(parameter)
    if setting is None or setting.is_open:  # kernel modules may add further choices
        return None
    return next(filter(None, (outside(parameter, text, setting, safe, are_ends) for text in texts)), None)


def kernel_text(value: Value) -> str:
    """A value as the kernel shows it."""
    return " ".join(str(value).split())


def kernel_texts(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: kernel_text(value) for name, value in values.items()}
