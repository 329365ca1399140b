# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A risk of the catalogue: what the kernel's documentation warns of, and the values to which that applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Risk:
    """A warning. It applies to a value if one of its conditions holds.

    source: where it stands. warning: what may happen, as a clause. quote: the words of the source.
    lowered, raised, changed: the value is below, above or other than the host's original one. below, above: it is below
    or above this number. values: it is one of these. element: of a vector, to which numbers are compared.
    """

    source: str
    warning: str
    quote: str
    lowered: bool = False
    raised: bool = False
    changed: bool = False
    below: Optional[int] = None
    above: Optional[int] = None
    values: tuple[str, ...] = ()
    element: int = 0

    def applies(self, value: str, original: Optional[str]) -> bool:
        """Whether a value, as the kernel shows it, runs this risk on a host with this original value, None: unknown."""
        if value == original:
            return False  # whatever it risks, it does so without us
        number, before = _number(value, self.element), _number(original or "", self.element)
        known = number is not None and before is not None
        return (
            value in self.values
            or (self.changed and original is not None)
            or (number is not None and self.below is not None and number < self.below)
            or (number is not None and self.above is not None and number > self.above)
            or (known and self.lowered and number < before)  # type: ignore[operator]
            or (known and self.raised and number > before)  # type: ignore[operator]
        )

    def condition(self, original: Optional[str] = None) -> str:
        """To which values it applies: "values below the original one (4096)"."""
        shown = f" ({original})" if original else ""
        found = [f"the value {value}" for value in self.values]
        found += [f"values below {self.below}"] if self.below is not None else []
        found += [f"values above {self.above}"] if self.above is not None else []
        found += [f"values below the original one{shown}"] if self.lowered else []
        found += [f"values above the original one{shown}"] if self.raised else []
        found += [f"values other than the original one{shown}"] if self.changed else []
        return " or ".join(found)

    @property
    def needs_original(self) -> bool:
        return self.lowered or self.raised or self.changed

    def narrow(self, low: int, high: int, originals: Sequence[str]) -> tuple[int, int]:
        """The part of a range of this element that runs no risk on hosts with these originals; low > high if none."""
        before = [number for text in originals if (number := _number(text, self.element)) is not None]
        limits = ([self.below] if self.below is not None else []) + (before if self.lowered or self.changed else [])
        low = max([low, *limits])
        limits = ([self.above] if self.above is not None else []) + (before if self.raised or self.changed else [])
        high = min([high, *limits])
        while str(low) in self.values:
            low += 1
        while str(high) in self.values:
            high -= 1
        return low, high


def _number(text: str, element: int) -> Optional[int]:
    try:
        return int(text.split()[element])
    except (IndexError, ValueError):
        return None
