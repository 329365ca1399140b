"""report.html: complete, well-formed, and loading nothing from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.html_report import render
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result


def page_of(raw: dict[str, Any]) -> str:
    return render(Result.model_validate(raw), "mark")


def test_the_report_loads_nothing_from_elsewhere(improved: dict[str, Any]) -> None:
    improved["parameters"][1]["risks"] = []  # which name an address as text
    page = page_of(improved)
    for outside in ("http:", "https:", "//", "url(", "@import", "<script", "<link", "<img", " src="):
        assert outside not in page.replace("<!doctype html>", "").replace("sqlite:///", "")
    assert page.count('<circle class="original"') == page.count('<circle class="learned"') == 2
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_report_shows_contributions_guards_race_and_analyses(ablated: dict[str, Any]) -> None:
    report = page_of(ablated)
    for words in (
        "contribution of each parameter",
        "2 of 3 changes are sufficient.",
        "Dropped, not shown to contribute: vm.swappiness.",
        "vm.swappiness, dropped</text>",
        "p99&lt;ms&gt; (minimise)",
        "<td>receive</td><td>mbit&lt;s&gt; (maximise)</td>",
        "<td>shown</td><td>vm.dirty_ratio</td>",
        '<td>receive</td><td>vm.dirty_ratio</td><td class="figure">-9.9 %</td>',
        "eliminated after round 2",
        "failed",
        "<h2>Interim analyses</h2>",
        "2.96",
    ):
        assert words in report, words
    assert "<script" not in report


def test_contributions_are_drawn_in_descending_order(ablated: dict[str, Any]) -> None:
    report = page_of(ablated)
    drawn = [line for line in report.splitlines() if line.startswith("<g><title>") and "<text" in line]
    assert [line.split("<title>")[1].split(":")[0] for line in drawn] == [
        "net.ipv4.tcp_congestion_control",
        "net.ipv4.tcp_rmem",
        "vm.swappiness",
    ]
    places = [float(line.split('cx="')[1].split('"')[0]) for line in drawn]
    assert places == sorted(places, reverse=True)


def test_the_report_shows_noise_shifts_and_objectives(improved: dict[str, Any]) -> None:
    noise = {
        "cv_percent": 3.0,
        "notices": ["baseline noise between runs: 3 %"],
        "per_host": {
            "h1": {"baseline_shifts": [[12, 14, -30.0]], "outlier": "its baseline is <3> times as noisy as the others'"}
        },
    }
    objectives = [
        {"metric": "throughput_mbit", "direction": "maximise", "weight": 1.0, "change": -3.5},
        {"metric": "p99_ms", "direction": "minimise", "weight": 0.5, "change": 40.0},
    ]
    early = {"training": "the last 20 trials brought 0 % more", "trials_saved": 35}
    raw = improved | {"noise": noise, "objectives": objectives, "early_stopping": early}
    page = page_of(raw)
    assert "baseline noise between runs: 3 %; h1: baseline shifted by -30.0 %" in page
    assert "its baseline is &lt;3&gt; times as noisy" in page
    assert "<dt>p99_ms</dt><dd>+40.0 % (positive is better), minimise, weight 0.5</dd>" in page
    assert "stopped 35 trials early: the last 20 trials brought 0 % more" in page


class _Balance(HTMLParser):
    """Keeps track of open elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "missing", [[], ["evidence"], ["trials"], ["best_config", "best", "improvement", "interval", "baseline"]]
)
def test_the_report_is_well_formed_whatever_is_missing(improved: dict[str, Any], missing: list[str]) -> None:
    raw = {name: value for name, value in improved.items() if name not in missing}
    page = _Balance()
    page.feed(page_of(raw if not missing else raw | {"verdict": "stopped"}))
    assert page.open == []
