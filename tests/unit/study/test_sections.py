from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import Guard, Verification
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

LIMITS = ("oom_kills", "memory_pressure", "io_pressure", "free_memory")
STUDY = """
workload_name: guarded
reward_metric: m
benchmark_command: "true"
action_space: [{param: vm.swappiness, min: 0, max: 100}]
"""


@pytest.mark.parametrize("word", ["off", "false", "no", "null"])
@pytest.mark.parametrize("limit", LIMITS)
def test_every_limit_can_be_switched_off_and_stays_off(tmp_path: Path, limit: str, word: str) -> None:
    path = tmp_path / "study.yml"
    path.write_text(f"{STUDY}guard: {{{limit}: {word}}}\n")
    study = read_study(path, tmp_path).study
    # As the trainer gets it, and the store and the result keep it.
    again = Study.model_validate(study.model_dump(mode="json", exclude_none=True))
    assert again.guard == study.guard
    off = {name for name in LIMITS if getattr(again.guard, name) is None}
    assert off == {limit}


def test_all_limits_but_the_users_own_hold_without_a_word() -> None:
    guard = Guard()
    assert all(getattr(guard, name) is not None for name in LIMITS)
    assert guard.kernel_log
    assert guard.health_command is None


@pytest.mark.parametrize(
    ("pairs", "hosts", "each", "all_hosts"), [(40, 1, 40, 40), (40, 2, 20, 40), (40, 7, 5, 35), (40, 30, 2, 60)]
)
def test_pairs_are_divided_evenly_with_two_on_each_host(pairs: int, hosts: int, each: int, all_hosts: int) -> None:
    rules = Verification(pairs=pairs)
    assert (rules.rounds(hosts), rules.most_pairs(hosts)) == (each, all_hosts)


def test_a_script_of_the_health_command_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "health.sh").write_text("exit 0")
    path = tmp_path / "study.yml"
    path.write_text(f"{STUDY}guard: {{health_command: sh health.sh}}\n")
    assert [name for dummy, name in read_study(path, tmp_path).files] == ["health.sh"]
