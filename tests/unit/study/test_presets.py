from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyError, StudyFile, read_study
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.host_facts import HostFacts
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.presets import EXPERT_SETTINGS, PRESETS

HEAD = "workload_name: small\nreward_metric: throughput\nbenchmark_command: python3 bench.py\n"
GIB = 2**30
BOTH_WAYS = "vm.dirty_background_ratio < vm.dirty_ratio"

Read = Callable[[str], StudyFile]
Mistakes = Callable[[str], list[str]]
ReadFor = Callable[..., StudyFile]


def host(name: str, machine: Machine, without: str = "") -> HostFacts:
    """A host that has all of the catalogue but those parameters whose name begins so."""
    settings = [setting for setting in _catalogue.SYSCTLS + _catalogue.OTHERS if "*" not in setting.name]
    kept = [setting for setting in settings if not (without and setting.name.startswith(without))]
    safe = {setting.name: setting.safe_range(machine) for setting in kept}
    own = {"net.ipv4.tcp_max_tw_buckets": "65536"}
    return HostFacts(name, safe, original={setting.name: setting.default for setting in kept} | own)


SMALL, LARGE = host("small", Machine(2 * GIB, 2)), host("large", Machine(64 * GIB, 16, 10_000))


@pytest.fixture
def read_for(folder: Path) -> ReadFor:
    """Read the text of a study for some hosts."""

    def from_text(text: str, *hosts: HostFacts) -> StudyFile:
        path = folder / "study.yml"
        path.write_text(text)
        return read_study(path, folder, hosts)

    return from_text


def ranges(study: StudyFile) -> dict[str, Any]:
    shown = study.study.model_dump(exclude_none=True)["action_space"]
    return {entry["param"]: entry for entry in shown}


STARTED = "start: 'true'\nstop: 'true'\n"  # a service


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_study(name: str, read_for: ReadFor) -> None:
    study = read_for(f"{HEAD}{STARTED}parameters: preset:{name}\n", SMALL, LARGE)
    picks = {pick.name for pick in PRESETS[name]}
    assert set(study.study.space.parameters) == picks
    assert study.notices == []
    assert all(parameter.description for parameter in study.study.action_space)
    assert read_for(f"{HEAD}parameters: preset:{name}\n").study.space.size > 3, "nothing known of the hosts"


def test_there_are_presets_for_all_kinds_of_work() -> None:
    assert set(PRESETS) >= {"network-throughput", "network-latency", "memory", "storage", "web-server", "database"}


def test_a_range_is_safe_on_the_smallest_host_and_on_the_largest(read_for: ReadFor) -> None:
    study = read_for(HEAD + "parameters: [preset:memory, preset:network-throughput]\n", SMALL, LARGE)
    found = ranges(study)
    assert found["vm.min_free_kbytes"]["min"] == 64 * GIB // 1024 // 1024
    assert found["vm.min_free_kbytes"]["max"] == 2 * GIB // 1024 // 20
    assert found["net.ipv4.tcp_rmem"]["elements"][0] == {"value": 4096, "log": False}
    assert found["net.ipv4.tcp_rmem"]["elements"][2] == {"min": 33554432, "max": 2 * GIB // 16, "log": True}
    alone = ranges(read_for(HEAD + "parameters: [preset:network-throughput]\n", LARGE))
    assert alone["net.ipv4.tcp_rmem"]["elements"][2]["max"] == 128 * 2**20


def test_hosts_without_a_common_range_leave_a_parameter_out(read_for: ReadFor) -> None:
    huge = host("huge", Machine(4096 * GIB, 512))
    study = read_for(HEAD + "parameters: preset:memory\n", SMALL, huge)
    assert "vm.min_free_kbytes" not in ranges(study)
    assert study.notices == [
        "vm.min_free_kbytes is left out: fewer than two of its values are safe and without a known risk on all hosts"
    ]


def test_what_a_host_lacks_is_left_out_and_told(read_for: ReadFor) -> None:
    bare = host("bare", Machine(2 * GIB, 2), without="transparent_hugepage")
    study = read_for(HEAD + "parameters: preset:memory\n", bare, LARGE)
    assert not any(name.startswith("transparent_hugepage") for name in ranges(study))
    assert "transparent_hugepage.enabled is left out: it cannot be set on bare" in study.notices


def test_choices_are_those_which_all_hosts_offer(read_for: ReadFor) -> None:
    def offering(*choices: str) -> HostFacts:
        return replace(LARGE, safe={**LARGE.safe, "net.ipv4.tcp_congestion_control": choices})

    text = HEAD + "parameters: preset:network-throughput\n"
    found = ranges(read_for(text, offering("reno", "cubic"), offering("reno", "cubic", "bbr")))
    assert found["net.ipv4.tcp_congestion_control"]["choices"] == ["reno", "cubic"]
    only_one = read_for(text, offering("reno"), LARGE)
    assert "net.ipv4.tcp_congestion_control" not in ranges(only_one)


def test_what_the_study_says_itself_prevails(read_for: ReadFor) -> None:
    own = "action_space: [{param: vm/swappiness, min: 1, max: 7}, {param: vm.dirty_ratio, min: 10, max: 30}]\n"
    study = read_for(f"{HEAD}parameters: [preset:memory, preset:storage]\n{own}", LARGE)
    found = ranges(study)
    assert (found["vm.swappiness"]["min"], found["vm.swappiness"]["max"]) == (1, 7)
    assert "vm.dirty_bytes" not in found
    assert "vm.dirty_bytes is left out: it excludes vm.dirty_ratio" in study.notices


def test_what_a_service_reads_when_it_starts_needs_a_study_that_starts_it(read_for: ReadFor) -> None:
    text, name = HEAD + "parameters: preset:web-server\n", "net.core.somaxconn"
    started = read_for(text + STARTED, LARGE)
    assert (started.study.restarting, [n for n in started.notices if name in n]) == ([name], [])
    running = read_for(text, LARGE)
    assert name not in ranges(running)
    assert [n for n in running.notices if name in n] == [
        f"{name} is left out: a service reads it only when it starts: name the service's `start`, or list the parameter"
    ]
    own = f"action_space: [{{param: {name}, min: 512, max: 65535}}]\n"  # for a benchmark that starts the service
    listed = read_for(text + own, LARGE)
    assert (name in ranges(listed), listed.study.restarting) == (True, [])


def test_a_preset_brings_the_constraints_of_the_kernel(read_for: ReadFor) -> None:
    study = read_for(f"{HEAD}parameters: preset:memory\n", LARGE).study
    assert study.constraints == [BOTH_WAYS]
    candidate = study.space.decode(study.space.encode({"vm.dirty_ratio": 2, "vm.dirty_background_ratio": 50}))
    assert candidate["vm.dirty_background_ratio"] == 1


def test_couplings_of_the_kernel_hold_without_being_written(read: Read) -> None:
    both = "{param: vm.dirty_ratio, min: 5, max: 60}, {param: vm.dirty_background_ratio, min: 1, max: 40}"
    assert read(f"{HEAD}action_space: [{both}]\n").study.constraints == [BOTH_WAYS]
    again = read(f"{HEAD}action_space: [{both}]\nconstraints: [{BOTH_WAYS}]\n").study
    assert again.constraints == [BOTH_WAYS]


def test_a_study_with_a_preset_survives_the_way_to_the_trainer(read_for: ReadFor) -> None:
    study = read_for(HEAD + "parameters: preset:web-server\n", SMALL).study
    sent = json.loads(json.dumps(study.model_dump(mode="json", exclude_none=True)))
    assert type(study).model_validate(sent) == study


def test_without_knowledge_of_the_hosts_it_says_so(read: Read) -> None:
    notices = read(HEAD + "parameters: preset:network-latency\n").notices
    assert "no facts about the hosts yet: the preset uses the ranges of a machine with 1 GiB" in notices
    lacking = "net.ipv4.tcp_pingpong_thresh is left out: some hosts do not have it, and there are no facts about these"
    assert lacking in notices


@pytest.mark.parametrize("wanted", ["preset:fast", "[preset:fast]", "memory", "[preset:memory, memory]", "[5]", "yes"])
def test_tells_which_presets_there_are(wanted: str, mistakes: Mistakes) -> None:
    (line,) = mistakes(f"{HEAD}parameters: {wanted}\n")
    if wanted == "yes":
        assert line == "parameters: must be a valid list, not true"
    else:
        assert line.startswith("parameters: unknown preset '")
        assert "choose one of preset:network-throughput, " in line


def test_says_why_nothing_is_left_to_tune(read_for: ReadFor) -> None:
    with pytest.raises(StudyError) as caught:
        read_for(f"{HEAD}parameters: preset:compute\n", HostFacts("bare", {}))
    (line,) = caught.value.errors
    assert line.startswith(
        "parameters: nothing is left to tune: kernel.sched_autogroup_enabled is left out: it cannot be set on bare"
    )


@pytest.mark.parametrize(
    ("inside", "mistake"),
    [
        (
            "param: vm.swappiness, min: 0, max: 300",
            "vm.swappiness: 300 is not within the safe range 0 to 200; narrow it, or add vm.swappiness to allow_unsafe",
        ),
        # A special value by itself is safe; those between it and the safe range are not.
        ("param: net.core.netdev_budget_usecs, min: 2000, max: 8000", "2000 is not within the safe range"),
        ("param: kernel.watchdog_thresh, min: 0, max: 30", "kernel.watchdog_thresh: 0 is not within the safe range"),
        ("param: net.ipv4.tcp_early_retrans, min: 0, max: 3", "1 is not among the safe choices"),
        ("param: vm/swappiness, min: -5, max: 100", "vm.swappiness: -5 is not within the safe range 0 to 200"),
        ("param: vm.overcommit_memory, choices: [0, 1, 2]", "vm.overcommit_memory: 2 is not among the safe choices"),
        ("param: net.ipv4.tcp_syncookies, type: bool", "net.ipv4.tcp_syncookies: 0 is not among the safe choices 1, 2"),
        (
            "param: net.ipv4.tcp_rmem, elements: [{value: 1}, {value: 131072}, {min: 131072, max: 1048576}]",
            "net.ipv4.tcp_rmem[0]: 1 is not within the safe range 4096 to 65536",
        ),
        (
            "param: net.ipv4.tcp_rmem, elements: [{value: 4096}, {min: 4096, max: 131072}]",
            "net.ipv4.tcp_rmem: '4096 4096' is not 3 whole numbers",
        ),
        ("param: net.ipv4.tcp_fin_timeout, choices: [a, b]", "net.ipv4.tcp_fin_timeout: 'a' is not a whole number"),
        ("param: transparent_hugepage.enabled, choices: [on, never]", "a choice cannot be true"),
        (
            "param: transparent_hugepage.enabled, choices: ['on', never]",
            "transparent_hugepage.enabled: on is not among",
        ),
    ],
)
def test_what_leaves_the_safe_values_must_be_meant(inside: str, mistake: str, mistakes_of_parameter: Mistakes) -> None:
    (line,) = mistakes_of_parameter(inside)
    assert mistake in line
    assert line.startswith("action_space[0]")


def test_whoever_means_it_may_leave_them(read: Read) -> None:
    text = HEAD + "action_space: [{param: vm.swappiness, min: 0, max: 300}]\nallow_unsafe: [vm/swappiness]\n"
    study = read(text).study
    assert study.allow_unsafe == ["vm.swappiness"]
    assert study.unsafe_on({"parameters": {"vm.swappiness": {"safe_range": [[0, 200]]}}}) == []


def test_allow_unsafe_takes_names_only(mistakes_with: Mistakes) -> None:
    (line,) = mistakes_with("allow_unsafe: ['vm.*']")
    assert line.startswith("allow_unsafe: 'vm.*' is not the name of a kernel parameter")


def test_limits_that_depend_on_the_host_are_checked_where_it_is_known(read_for: ReadFor) -> None:
    text = f"{HEAD}action_space: [{{param: vm.dirty_bytes, min: 8388608, max: {8 * GIB}}}]\n"
    study = read_for(text).study
    facts = {"parameters": {"vm.dirty_bytes": {"safe_range": SMALL.safe["vm.dirty_bytes"]}}}
    (line,) = study.unsafe_on(facts)
    assert line.startswith(f"vm.dirty_bytes: {8 * GIB} is not within the safe range 1048576 to {GIB} of this host")
    assert study.unsafe_on({"parameters": {"vm.dirty_bytes": {"safe_range": LARGE.safe["vm.dirty_bytes"]}}}) == []
    assert read_for(text, LARGE).study == study
    with pytest.raises(StudyError, match=f"not within the safe range 1048576 to {GIB}"):
        read_for(text, SMALL, LARGE)


@pytest.mark.parametrize(
    "inside",
    [
        "param: net.ipv4.tcp_congestion_control, choices: [htcp, cubic]",
        "param: block.sda.scheduler, choices: [none, adios]",
        "param: block.sda.read_ahead_kb, choices: [0, 128, 4096]",
        "param: net.ipv4.tcp_notsent_lowat, min: 16384, max: 4294967295, log: true",
    ],
)
def test_what_is_safe_passes(inside: str, read: Read) -> None:
    assert read(f"{HEAD}action_space: [{{{inside}}}]\n").notices == []


def test_a_parameter_that_nobody_knows_may_be_tuned_and_is_told(read: Read) -> None:
    study = read(HEAD + "action_space: [{param: vm.brand_new, min: 0, max: 10}]\n")
    assert study.notices == ["vm.brand_new is not in the catalogue: its safe values are unknown"]


def test_two_that_exclude_each_other_are_not_tuned_together(mistakes: Mistakes) -> None:
    both = "{param: vm.dirty_ratio, min: 5, max: 60}, {param: vm.dirty_bytes, min: 8388608, max: 16777216}"
    (line,) = mistakes(f"{HEAD}action_space: [{both}]\n")
    assert line == "action_space: vm.dirty_bytes and vm.dirty_ratio exclude each other; tune one of them"


@pytest.mark.parametrize("name", EXPERT_SETTINGS)
def test_expert_settings_are_safe_values_of_the_catalogue(name: str) -> None:
    for parameter, value in EXPERT_SETTINGS[name].items():
        assert _catalogue.find(parameter)
        assert _catalogue.why_unsafe(parameter, str(value), Machine(64 * GIB, 16, 10_000)) is None


def test_facts_of_sysctl_info_become_host_facts() -> None:
    seen = {"exists": True, "readable": True, "writable": True, "why_not_writable": None, "safe_range": [[0, 200]]}
    seen |= {"value": "7", "original": "5"}
    closed = {**seen, "writable": False, "why_not_writable": "it is closed"}
    parameters = {"a.b": seen, "a.c": closed, "a.d": {**seen, "safe_range": None}, "a.e": {**closed, "exists": False}}
    parameters["a.f"] = {**closed, "readable": False}
    parameters["a.g"] = {**closed, "exists": False, "why_not_writable": "it does not exist here: mount it"}
    assert HostFacts.from_module("h", {"parameters": parameters}) == HostFacts(
        "h",
        {"a.b": [[0, 200]]},
        {
            "a.c": "does not let it be set: it is closed",
            "a.e": "does not have it",
            "a.f": "does not let it be read: it is closed",
            "a.g": "does not have it: mount it",
        },
        dict.fromkeys(["a.b", "a.c", "a.d", "a.e", "a.f", "a.g"], "5"),
    )
