from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _catalogue
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_risk import Risk
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_risks import RISKS

PAGE = r"https://docs\.kernel\.org/(admin-guide|networking)/[\w/-]+\.html|https://man7\.org/linux/man-pages/man7/\w+\.7\.html"


def faults(name: str, risk: Risk) -> Iterator[str]:
    if not re.fullmatch(PAGE, risk.source):
        yield f"{risk.source} is no page of the kernel's documentation"
    if len(risk.quote) < 20:
        yield "no words of its source"
    if not re.fullmatch(r"[a-z].*[^.]", risk.warning):
        yield f"{risk.warning!r} is no clause"
    if not risk.condition():
        yield "applies to nothing"
    setting = _catalogue.find(name)
    if setting is None or setting.name != name:
        yield "is not in the catalogue"
    elif setting.choices and not set(risk.values) <= {*setting.choices, *(value for value, _ in setting.special)}:
        yield f"{risk.values} are no values of it"
    elif setting.default and risk.applies(setting.default, "another"):
        yield f"the kernel's default {setting.default} runs it"


def test_every_risk_names_its_source_and_applies_to_something() -> None:
    assert len(RISKS) > 30
    found = [f"{name}: {fault}" for name, risks in RISKS.items() for risk in risks for fault in faults(name, risk)]
    changed = [name for name, risks in RISKS.items() if any(risk.changed for risk in risks)]
    assert [fault for fault in found if fault.partition(":")[0] not in changed] == []


@pytest.mark.parametrize(
    ("parameter", "value", "original", "runs"),
    [
        ("net.ipv4.tcp_max_tw_buckets", "8192", "65536", True),
        ("net.ipv4.tcp_max_tw_buckets", "131072", "65536", False),
        ("net.ipv4.tcp_max_tw_buckets", "8192", None, False),
        ("net.ipv4.tcp_tw_reuse", "1", "2", True),
        ("net.ipv4.tcp_tw_reuse", "2", "2", False),
        ("net.ipv4.tcp_rmem", "4096 131072 131072", "4096 131072 6291456", True),
        ("net.ipv4.tcp_rmem", "4096 65536 6291456", "4096 131072 6291456", False),
        ("net.ipv4.tcp_retries2", "7", "15", True),
        ("net.ipv4.tcp_retries2", "8", "15", False),
        ("net.ipv4.tcp_retries2", "5", "5", False),
        ("net.ipv4.ipfrag_max_dist", "2", "64", True),
        ("net.ipv4.ipfrag_max_dist", "50000", "64", True),
        ("net.ipv4.ipfrag_max_dist", "3", "64", False),
        ("vm.vfs_cache_pressure", "0", "100", True),
        ("vm.vfs_cache_pressure", "1", "100", False),
        ("vm.laptop_mode", "5", "0", True),
        ("vm.swappiness", "0", "60", False),
        ("vm.nobody_knows", "0", "60", False),
    ],
)
def test_says_which_values_run_a_risk(parameter: str, value: str, original: str | None, runs: bool) -> None:
    assert any(risk.applies(value, original) for risk in _catalogue.risks(parameter)) is runs


def test_says_to_what_a_warning_applies() -> None:
    (risk,) = _catalogue.risks("net.ipv4.tcp_max_tw_buckets")
    assert risk.condition() == "values below the original one"
    assert risk.condition("65536") == "values below the original one (65536)"
    assert [risk.condition() for risk in _catalogue.risks("net.ipv4.ipfrag_max_dist")] == [
        "the value 1 or the value 2",
        "the value 0 or values above 4096",
    ]
    assert _catalogue.risks("vm.laptop_mode")[0].condition("0") == "values above the original one (0)"
