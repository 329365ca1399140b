# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lowest version of every package that pyproject.toml declares, with which `./dev lowest` runs the unit tests.

pip has no resolution of its own for that, and other installers do not find the build of PyTorch that lies at hand.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# With what they were last run successfully; `./dev lowest` writes it.
RECORD = ROOT / "tests" / "lowest.txt"


# Brings a pydantic that is newer than our lowest; there, its tests are skipped.
_APART = {"mcp"}


def lowest() -> list[str]:
    """`name==version` for every runtime dependency and extra; raises ValueError for one without a lower end."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    extras = [text for name, texts in optional.items() if name not in _APART for text in texts]
    return sorted(map(_pinned, [*project["dependencies"], *extras]), key=str.lower)


def _pinned(requirement: str) -> str:
    found = re.fullmatch(r"([\w.-]+(?:\[[\w,]+\])?)(?:>=|==)([\w.]+)(?:,.*)?", requirement)
    if not found:
        raise ValueError(f"{requirement!r} in pyproject.toml has no lower end: write name>=version")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print("\n".join(lowest()))
