# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.dashboard.configuration import as_sysctl, as_yaml, axes, changes
from ansible_collections.autotune.kernel.dashboard.formatting import (
    duration,
    headline,
    moment,
    number,
    per_cent,
    probability,
)
from ansible_collections.autotune.kernel.dashboard.study_view import evidence
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Undefined


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (14312, "14,312"),
        (0.80191, "0.8019"),
        (-2.0, "−2"),
        (1234.5, "1,234"),
        (2.6e-6, "2.6\u00a0×\u00a010⁻⁶"),
        (4294967295, "4,294,967,295"),
        ("bbr", "bbr"),
    ],
)
def test_numbers_are_short_and_have_no_exponent(value: Any, text: str) -> None:
    assert number(value) == text


def test_percentages_have_a_sign() -> None:
    assert [per_cent(value) for value in (58.04, -22.3, 0, None)] == [
        "+58.0\u00a0%",
        "−22.3\u00a0%",
        "+0.0\u00a0%",
        "–",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.2, "0 s"), (59.6, "1 min 00 s"), (286, "4 min 46 s"), (7500, "2 h 05 min"), (260_000, "3 d 0 h")],
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_probability_has_two_digits() -> None:
    given = (None, Undefined(), 0.0000004569, 0.0361, 1)
    assert [probability(value) for value in given] == ["–", "–", "4.6\u00a0×\u00a010⁻⁷", "0.036", "1"]


def test_an_invalid_time_is_shown_as_text() -> None:
    assert moment("<b>yesterday</b>") == "<b>yesterday</b>"
    assert (
        moment("2026-11-22T17:00:00+01:00")
        == '<time datetime="2026-11-22T16:00:00+00:00">2026-11-22 16:00:00 UTC</time>'
    )


STUDY = {
    "metric": "speed",
    "metrics": "speed and p99_ms",
    "result": {"improvement": 58.0, "interval": [51.2, 66.0], "pairs": 8},
}


@pytest.mark.parametrize(
    ("status", "says", "keeps_quiet"),
    [
        (
            {"verdict": None, "best_percent": 20.0},
            "+20.0\u00a0% speed and p99_ms in a single trial, not yet proved",
            "Improved",
        ),
        (
            {"verdict": None, "best_percent": -3.0},
            "No candidate has beaten the baseline so far; the best one: −3.0\u00a0% speed and p99_ms",
            "proved",
        ),
        ({"verdict": None, "best_percent": None}, "No candidate", "better"),
        ({"verdict": "improved"}, "speed and p99_ms +58.0", "not yet"),
        ({"verdict": "no_improvement", "best_percent": 20.0}, "keep those", "+20"),
        ({"verdict": "stopped", "best_percent": 20.0}, "no improvement was proved", "original values"),
        ({"verdict": "failed", "best_percent": 20.0}, "no values were learned", "+20"),
    ],
)
def test_the_headline_claims_only_what_was_proved(status: dict[str, Any], says: str, keeps_quiet: str) -> None:
    text = headline(STUDY, status)
    assert says in text
    assert keeps_quiet not in text


SPACE = [
    {"param": "vm.swappiness", "min": 0, "max": 100, "description": "swapping"},
    {"param": "net.ipv4.tcp_rmem", "elements": [{"value": 4096}, {"min": 1, "max": 1024, "log": True}]},
    {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
    {"param": "net.ipv4.tcp_autocorking", "type": "bool"},
]


def test_changes_are_relative_to_the_original_values() -> None:
    own = {
        "lab1": {"vm.swappiness": "60", "net.ipv4.tcp_rmem": "4096\t16", "net.ipv4.tcp_congestion_control": "reno"},
        "lab2": {"vm.swappiness": "30", "net.ipv4.tcp_rmem": "4096 16", "net.ipv4.tcp_congestion_control": "reno"},
    }
    best = {"vm.swappiness": 66, "net.ipv4.tcp_rmem": "4096 512", "net.ipv4.tcp_congestion_control": "reno"}
    found = {change.param: change for change in changes({"action_space": SPACE}, own, best)}
    assert found["vm.swappiness"].original == "60 (lab1), 30 (lab2)"
    assert (found["net.ipv4.tcp_rmem"].original, found["net.ipv4.tcp_rmem"].change) == ("4096 16", "=, ×32")
    assert not found["net.ipv4.tcp_congestion_control"].differs
    (one,) = changes({"action_space": SPACE}, {"lab1": own["lab1"]}, {"vm.swappiness": 66})
    assert (one.change, one.description, one.range) == ("+10.0\u00a0%", "swapping", "0 to 100")


def test_positions_are_scaled_to_the_search_range() -> None:
    places = {axis.label: axis for axis in axes({"action_space": SPACE})}
    assert list(places) == ["vm.swappiness", "net.ipv4.tcp_rmem[1]", SPACE[2]["param"], SPACE[3]["param"]]
    assert places["vm.swappiness"].position({"vm.swappiness": 25}) == 0.25
    assert places["net.ipv4.tcp_rmem[1]"].position({"net.ipv4.tcp_rmem": "4096 32"}) == pytest.approx(0.5)
    assert places["net.ipv4.tcp_congestion_control"].position({"net.ipv4.tcp_congestion_control": "bbr"}) == 1.0
    assert places["vm.swappiness"].position({"vm.swappiness": "nonsense"}) is None
    assert places["vm.swappiness"].position({}) is None


def test_axes_of_a_preset_come_from_the_values_tried() -> None:
    (axis,) = axes({}, [{"vm.swappiness": 10, "kernel.x": 1}, {"vm.swappiness": 90, "kernel.x": 1}])
    assert (axis.label, axis.low, axis.high) == ("vm.swappiness", 10, 90)


# JSON has no escape for other characters beyond these that YAML would understand; the kernel has no use for them.
text = st.text(st.characters(max_codepoint=0xD7FF), min_size=1) | st.just("\N{ROCKET}")
name = st.text(st.characters(max_codepoint=0xD7FF), min_size=1, max_size=120)  # YAML's keys end at 1024 characters
name |= st.just("net.ipv4.neigh.\N{ROCKET}.mtu")


@given(st.dictionaries(name, st.integers() | text, max_size=4))
def test_a_configuration_survives_a_round_trip_through_yaml(values: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml(values)) == (values or None)


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=4))
def test_a_line_of_sysctl_conf_is_one_line_and_other_names_are_one_comment(values: dict[str, str]) -> None:
    lines = as_sysctl({**values, "vm.swappiness": "1\n2"}).split("\n")
    assert lines[-1] == ""
    assert "vm.swappiness = 1 2" in lines
    assert all(line.startswith("# ") for line in lines if "=" not in line and line)
    assert len(lines) <= len(values) + 2


def test_what_no_file_of_sysctl_d_can_set_is_left_out_and_named() -> None:
    outside = {"transparent_hugepage.enabled": "always", "block.sda.scheduler": "none", "sched.migration_cost_ns": 5}
    found = as_sysctl({**outside, "vm.swappiness": 10, "net.ipv4.conf.a=b.mtu": 1}).splitlines()
    assert found[0] == "vm.swappiness = 10"
    (comment,) = found[1:]
    assert comment.startswith("# No file in sysctl.d can set " + ", ".join(outside))
    assert "the learned role does" in comment


PAIRS = [
    {"host": "a", "pair": n, "first": "baseline", "baseline": 100.0, "candidate": 100.0 + n, "log_ratio": n / 100}
    for n in (1, 2, -3)
]


def test_an_interval_below_zero_is_a_loss() -> None:
    found = evidence({"verdict": "no_improvement", "evidence": PAIRS, "interval": [-5.0, -1.5], "metric": "speed"})
    assert found is not None
    assert found["interpretation"].replace("\N{NO-BREAK SPACE}", " ") == "speed got worse, by 1.5 % to 5.0 %."


def test_an_interval_with_no_change_proves_nothing() -> None:
    found = evidence({"verdict": "no_improvement", "evidence": PAIRS, "interval": [-3.0, 2.0], "metric": "speed"})
    assert found is not None
    assert not found["proved"]
    assert "includes no change" in found["interpretation"]
    assert (found["better"], found["arms"]["candidate"]["minimum"]) == (2, 97.0)
    assert evidence({"evidence": []}) is None
