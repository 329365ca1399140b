"""What the kernel's documentation warns of is left out of presets, and told where a study tries it all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine, Setting
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.expansion import expand_study
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.host_facts import HostFacts
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.presets import PRESETS
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.risks import risks_of, risks_tried
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from hypothesis import given, settings
from hypothesis import strategies as st

HEAD = {"workload_name": "small", "reward_metric": "throughput", "benchmark_command": "true"}
SETTINGS = [setting for setting in _catalogue.SYSCTLS + _catalogue.OTHERS if "*" not in setting.name]


def value_of(setting: Setting, machine: Machine, draw: st.DrawFn) -> str:
    """Any value that a host may have, safe or a special one."""
    values = [st.sampled_from([value for value, _ in setting.special])] if setting.special else []
    if setting.choices:
        values.append(st.sampled_from(setting.choices))
    else:
        numbers = (st.integers(*one.on(machine)).map(str) for one in setting.ranges)
        values.append(st.tuples(*numbers).map(" ".join))
    return draw(st.one_of(values))


@st.composite
def host_facts(draw: st.DrawFn, names: list[str]) -> HostFacts:
    machine = Machine(draw(st.sampled_from([2**29, 2**31, 2**36, 2**42])), draw(st.sampled_from([1, 16, 512])))
    present = [setting for setting in SETTINGS if setting.name in names]
    safe = {setting.name: setting.safe_range(machine) for setting in present}
    known = draw(st.integers(0, 9)) > 0
    own = {setting.name: value_of(setting, machine, draw) for setting in present} if known else {}
    return HostFacts(draw(st.uuids()).hex, safe, original=own)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("name", PRESETS)
@settings(max_examples=25)
@given(data=st.data())
def test_no_range_of_a_preset_enters_a_risk(name: str, data: st.DataObject) -> None:
    picks = [pick.name for pick in PRESETS[name]]
    hosts = data.draw(st.lists(host_facts(picks), max_size=3))
    expanded, dummy = expand_study({**HEAD, "parameters": [f"preset:{name}"]}, hosts)
    if not expanded.get("action_space"):
        return
    study = Study.model_validate(expanded)
    originals = {host.name: host.original for host in hosts}
    assert risks_tried(study.action_space, originals) == []
    for unit in (0.0, data.draw(st.floats(0, 1)), 1.0):
        candidate = study.space.decode(np.full(study.space.size, unit))
        assert [(name, value) for name, value in candidate.items() if risks_of(name, value, originals)] == []


def tried(entry: dict[str, Any], **originals: str) -> list[str]:
    study = Study.model_validate({**HEAD, "action_space": [entry]})
    return risks_tried(study.action_space, {host: {entry["param"]: own} for host, own in originals.items()})


def test_a_study_that_tries_it_all_the_same_is_told() -> None:
    buckets = {"param": "net.ipv4.tcp_max_tw_buckets", "min": 8192, "max": 262144}
    assert tried(buckets, a="8192", b="65536") == [
        "net.ipv4.tcp_max_tw_buckets: the study tries values below the original one (65536), at a risk: connections in "
        "TIME_WAIT beyond the limit are destroyed at once, which leaves later connections without protection from late "
        "packets (https://docs.kernel.org/networking/ip-sysctl.html)"
    ]
    assert tried(buckets, a="8192") == []


@pytest.mark.parametrize(
    ("entry", "original", "told"),
    [
        ({"param": "net.ipv4.tcp_abort_on_overflow", "type": "bool"}, "0", 1),
        ({"param": "net.ipv4.tcp_abort_on_overflow", "type": "bool"}, "1", 0),
        ({"param": "net.ipv4.tcp_tw_reuse", "choices": [0, 2]}, "2", 1),
        ({"param": "vm.vfs_cache_pressure", "min": 1, "max": 500}, "100", 0),
        ({"param": "net.ipv4.ipfrag_max_dist", "min": 0, "max": 64}, "64", 2),
        ({"param": "net.ipv4.ipfrag_max_dist", "min": 3, "max": 64}, "64", 0),
        ({"param": "net.ipv4.tcp_retries2", "min": 5, "max": 15}, "15", 1),
        ({"param": "vm.nobody_knows", "min": 5, "max": 15}, "15", 0),
        (
            {
                "param": "net.ipv4.tcp_rmem",
                "elements": [{"value": 4096}, {"value": 131072}, {"min": 131072, "max": 33554432}],
            },
            "4096 131072 6291456",
            1,
        ),
    ],
)
def test_only_what_a_range_contains_is_told(entry: dict[str, Any], original: str, told: int) -> None:
    assert len(tried(entry, h=original)) == told


def test_without_knowing_the_original_a_preset_leaves_out_what_must_not_be_lowered() -> None:
    bare = HostFacts("h", {setting.name: setting.safe_range(Machine(2**32, 4)) for setting in SETTINGS})
    expanded, notices = expand_study({**HEAD, "parameters": ["preset:web-server"]}, [bare])
    assert "net.ipv4.tcp_max_tw_buckets" not in {entry["param"] for entry in expanded["action_space"]}
    assert (
        "net.ipv4.tcp_max_tw_buckets is left out: the kernel's documentation warns of some changes, and its original "
        "value is unknown"
    ) in notices


def test_the_ends_of_a_port_range_differ_in_parity() -> None:
    expanded, dummy = expand_study({**HEAD, "parameters": ["preset:web-server"]}, [])
    space = Study.model_validate(expanded).space
    rng = np.random.default_rng(5)
    for dummy_round in range(50):
        low, high = map(int, str(space.decode(rng.random(space.size))["net.ipv4.ip_local_port_range"]).split())
        assert (low + high) % 2 == 1
