"""What is shown of the proof: race, looks, guard metrics, and what each parameter contributes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import carry_out, plan
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.summary import summary

PROVED = {
    "improved": True,
    "reason": "better in 4 of 4 pairs",
    "improvement": 131.0,
    "interval": [110.0, 152.0],
    "p_value": 0.001,
    "evidence": [],
    "interim_analyses": [],
}


def standing(value: int) -> dict[str, Any]:
    return {"values": {"vm.swappiness": value}, "worst_case": None, "by_host": {}, "evaluations": 6}


@pytest.fixture
def ablated(improved: dict[str, Any]) -> dict[str, Any]:
    """An improvement from which vm.swappiness was left out, and vm.page-cluster had not changed."""
    del improved["best_config"]["vm.swappiness"]
    bbr = {"param": "net.ipv4.tcp_congestion_control", "contribution": 80.1, "interval": [70.0, 90.0]}
    improved["parameters"] = [{**improved["parameters"][0], "contribution": 80.1, "interval": [70.0, 90.0]}]
    return {
        **improved,
        "interim_analyses": [
            {
                "pairs": 4,
                "improvement": 129.0,
                "interval": [60.0, 210.0],
                "z": 3.5,
                "efficacy_bound": 2.96,
                "futility_bound": 0.1,
            }
        ],
        "guard_metrics": [
            {
                "metric": "p99<ms>",
                "direction": "minimise",
                "may_worsen": 2.0,
                "change": 0.5,
                "interval": [-0.5, 1.5],
                "holds": True,
            }
        ],
        "race": [
            {
                "values": {"vm.swappiness": 10},
                "worst_case": 99.0,
                "by_host": {"h1": 99.0, "h2": 120.0},
                "evaluations": 6,
            },
            {
                "values": {"vm.swappiness": 20},
                "worst_case": 9.0,
                "by_host": {"h1": 9.0},
                "evaluations": 4,
                "eliminated_after": 2,
            },
            {"values": {"vm.swappiness": 30}, "worst_case": None, "by_host": {}, "evaluations": 0, "failed": True},
        ],
        "ablation": {
            "reason": "2 of 3 changes are sufficient",
            "contributions": [
                {**bbr, "decision": "kept"},
                {"param": "net.ipv4.tcp_rmem", "contribution": 30.0, "interval": [20.0, 41.0], "decision": "kept"},
                {"param": "vm.swappiness", "contribution": 0.4, "interval": [-9.0, 9.5], "decision": "dropped"},
                {"param": "vm.page-cluster", "decision": "unchanged"},
            ],
            "contrasts": [{"host": "h1", "pair": 1, "first": ["vm.swappiness"], "second": [], "log_ratio": 0.001}],
            "all_values": PROVED,
            "fewer_values": PROVED,
        },
    }


def files_of(folder: Path, raw: dict[str, Any]) -> dict[str, str]:
    (folder / "result.json").write_text(json.dumps(raw), encoding="utf-8")
    carry_out(plan(folder))
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_role_has_what_is_needed_and_says_why(tmp_path: Path, ablated: dict[str, Any]) -> None:
    files = files_of(tmp_path, ablated)
    defaults = (tmp_path / "roles/wan_transfer/defaults/main.yml").read_text()
    assert set(yaml.safe_load(defaults)["wan_transfer_values"]) == {
        "net.ipv4.tcp_congestion_control",
        "net.ipv4.tcp_rmem",
    }
    assert "original reno, learned bbr, contribution +80.1 % (+70.0 % to +90.0 %)" in defaults
    readme = files["README.md"]
    assert "| `net.ipv4.tcp_congestion_control` | reno | bbr | +80.1 % (+70.0 % to +90.0 %) | How TCP paces |" in readme
    assert "Removed, because they did not contribute measurably: vm.swappiness." in readme
    assert "Removed, because every host already had this value: vm.page-cluster." in readme
    assert "Guard metric p99\\<ms\\>: +0.5 %" in readme


def test_the_report_shows_contributions_guards_race_and_analyses(tmp_path: Path, ablated: dict[str, Any]) -> None:
    report = files_of(tmp_path, ablated)["report.html"]
    for words in (
        "contribution of each parameter",
        "2 of 3 changes are sufficient.",
        "did not contribute measurably: vm.swappiness.",
        "vm.swappiness, dropped</text>",
        "p99&lt;ms&gt; (minimise)",
        "eliminated after round 2",
        "failed",
        "<h2>Interim analyses</h2>",
        "2.96",
    ):
        assert words in report, words
    assert "<script" not in report


def test_contributions_are_drawn_in_their_order_on_one_scale(tmp_path: Path, ablated: dict[str, Any]) -> None:
    report = files_of(tmp_path, ablated)["report.html"]
    drawn = [line for line in report.splitlines() if line.startswith("<g><title>") and "<text" in line]
    assert [line.split("<title>")[1].split(":")[0] for line in drawn] == [
        "net.ipv4.tcp_congestion_control",
        "net.ipv4.tcp_rmem",
        "vm.swappiness",
    ]
    places = [float(line.split('cx="')[1].split('"')[0]) for line in drawn]
    assert places == sorted(places, reverse=True)


def test_the_closing_text_says_what_was_left_out(ablated: dict[str, Any]) -> None:
    text = summary(Result.model_validate(ablated), Path("learned/wan-transfer"))
    assert "  net.ipv4.tcp_congestion_control  reno      bbr                   +80.1 % (+70.0 % to +90.0 %)" in text
    assert "  no measurable contribution: vm.swappiness\n  already set on every host: vm.page-cluster\n" in text
    assert "  p99<ms> +0.5 %, may worsen by 2 %: holds\n" in text


def test_stopped_after_the_proof_does_not_say_that_nothing_was_proved(ablated: dict[str, Any]) -> None:
    stopped = {**ablated, "verdict": "stopped", "proved": True}
    text = summary(Result.model_validate(stopped), Path("learned/wan-transfer"))
    assert "nothing was proved" not in text
    assert "the ablation was not completed" in text
