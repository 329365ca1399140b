# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings reach the modules as they were given: 0 and false are values, and only an empty text is none."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OURS = "autotune.kernel."
# What can be empty, and means nothing then.
MAY_BE_EMPTY = {"str", "path", "list", "dict"}
TEMPLATES = "plugins/plugin_utils/_outcome/templates"


def options(module: str) -> dict[str, Any]:
    documentation = importlib.import_module(
        f"ansible_collections.autotune.kernel.plugins.modules.{module}"
    ).DOCUMENTATION
    return yaml.safe_load(documentation)["options"]  # type: ignore[no-any-return]


def calls(tasks: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each module of ours with its arguments, wherever it is in a play."""
    if isinstance(tasks, list):
        for task in tasks:
            yield from calls(task)
    elif isinstance(tasks, dict):
        for key, value in tasks.items():
            if str(key).startswith(OURS) and isinstance(value, dict):
                yield key.removeprefix(OURS), value
            else:
                yield from calls(value)


@pytest.mark.parametrize("playbook", ["tune", "review"])
def test_a_setting_that_is_nought_is_not_dropped(playbook: str) -> None:
    dropping = {
        f"{module}.{name}": options(module)[name]["type"]
        for module, arguments in calls(yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text()))
        for name, value in arguments.items()
        if re.search(r"default\(.*,\s*true\s*\)", str(value))
    }
    assert {name: kind for name, kind in dropping.items() if kind not in MAY_BE_EMPTY} == {}
    assert "evaluate.resume" not in dropping, "resume=0 is no ID, which has to be said"


def test_no_role_and_no_template_drops_a_number() -> None:
    """The role's holder and nonce are texts; whatever else is defaulted is so only where it is not set at all."""
    files = [*(ROOT / "roles").rglob("*.yml"), *(ROOT / TEMPLATES).rglob("*.j2")]
    found = {
        line.strip().split(":")[0]
        for file in files
        for line in file.read_text().splitlines()
        if re.search(r"default\([^)]*,\s*true\s*\)", line)
    }
    assert found <= {"holder", "nonce"}
