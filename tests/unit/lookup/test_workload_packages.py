from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.lookup.workload_packages import LookupModule

OWN = {"packages": {"host": ["nginx-light"], "run_on": ["wrk"]}, "guard_benchmarks": [{"study": "guard.yml"}]}
GUARD = {"packages": {"host": ["nginx-light", "redis-server"]}, "guard_benchmarks": [{"study": "study.yml"}]}


def needed(folder: Path, study: Any, **options: str) -> list[dict[str, Any]]:
    (folder / "study.yml").write_text(study if isinstance(study, str) else yaml.safe_dump(study))
    (folder / "guard.yml").write_text(yaml.safe_dump(GUARD))
    return LookupModule().run([str(folder / "study.yml")], {}, **options)


def test_host_and_load_generator_get_their_own(tmp_path: Path) -> None:
    everything = [{"run_on": "", "packages": ["nginx-light", "wrk", "redis-server"]}]
    assert needed(tmp_path, OWN) == everything
    parts = [{"run_on": "", "packages": ["nginx-light", "redis-server"]}, {"run_on": "client", "packages": ["wrk"]}]
    assert needed(tmp_path, OWN | {"run_on": "client"}) == parts
    assert needed(tmp_path, OWN, run_on="client") == parts
    assert needed(tmp_path, OWN | {"run_on": "other"}, run_on="client") == parts


@pytest.mark.parametrize(
    "study",
    ["", "[", "packages: wrk", "packages: {host: wrk}", "packages: {host: []}", "guard_benchmarks: [x, {study: none}]"],
)
def test_nothing_is_needed_by_a_study_without_packages_or_an_invalid_one(tmp_path: Path, study: str) -> None:
    assert needed(tmp_path, study) == []
