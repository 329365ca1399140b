"""An optional parameter is tuned on all hosts of a run, or on none: what some host lacks is left out, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.lookup.optional_parameters import LookupModule
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.compatibility import differences
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyError, StudyFile, read_study
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.host_facts import HostFacts

HEAD = "workload_name: small\nreward_metric: throughput\nbenchmark_command: python3 bench.py\n"
SLICE = "{param: sched.base_slice_ns, min: 1000000, max: 9000000, optional: true}"
BOTH = f"{HEAD}action_space:\n  - {{param: vm.swappiness, min: 0, max: 100}}\n  - {SLICE}\n"
GONE = {"sched.base_slice_ns": "does not have it"}

ReadFor = Callable[..., StudyFile]


@pytest.fixture
def read_for(folder: Path) -> ReadFor:
    """Read the text of a study for some hosts, each given as what it lacks."""

    def from_text(text: str, *lacking: dict[str, str]) -> StudyFile:
        (folder / "study.yml").write_text(text)
        hosts = [HostFacts(f"lab{number}", {}, lacks) for number, lacks in enumerate(lacking, 1)]
        return read_study(folder / "study.yml", folder, hosts)

    return from_text


@pytest.mark.parametrize("hosts", [[], [{}], [{}, {}], [{"vm.x": "does not have it"}]])
def test_it_is_tuned_where_every_host_has_it_or_nothing_is_known(
    hosts: list[dict[str, str]], read_for: ReadFor
) -> None:
    study = read_for(BOTH, *hosts)
    assert study.study.space.parameters == ["vm.swappiness", "sched.base_slice_ns"]
    assert study.notices == []


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ([GONE], "lab1 does not have it"),
        ([{}, GONE], "lab2 does not have it"),
        ([GONE, GONE], "lab1 does not have it (1 more host lacks it too)"),
        ([{}, GONE, GONE, GONE], "lab2 does not have it (2 more hosts lack it too)"),
    ],
)
def test_it_is_left_out_where_one_host_lacks_it(hosts: list[dict[str, str]], said: str, read_for: ReadFor) -> None:
    study = read_for(BOTH, *hosts)
    assert study.study.space.parameters == ["vm.swappiness"]
    assert study.notices == [f"optional parameter sched.base_slice_ns is left out of the study: {said}"]


def test_what_is_not_optional_stays(read_for: ReadFor) -> None:
    assert "vm.swappiness" in read_for(BOTH, {"vm.swappiness": "does not have it"}).study.space.parameters


def test_a_constraint_goes_with_it(read_for: ReadFor) -> None:
    text = f"{BOTH}constraints: [vm.swappiness < sched.base_slice_ns, vm.swappiness < 90]\n"
    study = read_for(text, GONE)
    assert study.study.constraints == ["vm.swappiness < 90"]
    assert study.notices[1:] == ["constraint `vm.swappiness < sched.base_slice_ns` is left out with it"]


def test_a_preset_does_not_bring_it_back(read_for: ReadFor) -> None:
    study = read_for(f"{BOTH}parameters: preset:compute\n", GONE)
    assert "sched.base_slice_ns" not in study.study.space.parameters
    assert sum("base_slice" in notice for notice in study.notices) == 1


def test_a_study_of_nothing_else_says_why_nothing_is_left(read_for: ReadFor) -> None:
    with pytest.raises(StudyError) as caught:
        read_for(f"{HEAD}action_space: [{SLICE}]\n", GONE)
    assert caught.value.errors == [
        "parameters: nothing is left to tune: "
        "optional parameter sched.base_slice_ns is left out of the study: lab1 does not have it"
    ]


def test_a_study_goes_on_whether_or_not_it_says_optional(read_for: ReadFor) -> None:
    assert differences(read_for(BOTH).study, read_for(BOTH.replace(", optional: true", "")).study) == []


def test_the_play_learns_which_ones_to_ask_for(folder: Path) -> None:
    (folder / "study.yml").write_text(BOTH)
    (folder / "broken.yml").write_text("action_space: [\n")
    (folder / "odd.yml").write_text("action_space: [1, {param: [], optional: true}, {param: '*', optional: true}]\n")
    paths = [str(folder / name) for name in ("study.yml", "broken.yml", "odd.yml", "gone.yml")]
    assert LookupModule().run(paths) == ["sched.base_slice_ns"]
