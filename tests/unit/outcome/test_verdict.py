"""The verdict as text: the same on the terminal, in the report and on the page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.dashboard.formatting import headline, restoration
from ansible_collections.autotune.kernel.dashboard.study_view import evidence
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.html_report import render
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.summary import summary
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.variation import variation_percent

TWO = [
    {"metric": "throughput_mbit", "direction": "maximise", "weight": 1.0, "change": 150.0},
    {"metric": "p99_ms", "direction": "minimise", "weight": 1.0, "change": 112.0},
]
REFUSING = {"name": "receive", "metric": "mbit", "direction": "maximise", "may_worsen": 3.0, "holds": False}
REFUSING |= {"reason": "guard benchmark receive is more than 3 % worse", "change": -9.0, "interval": [-11.0, -7.0]}

# Without the values that worsen it there was no improvement, so that the next guard benchmark was not measured.
DROPPING = {**REFUSING, "holds": True, "dropped": ["vm.swappiness"]}
NOT_MEASURED = {**REFUSING, "name": "requests", "measured": False, "change": None, "interval": None}


def plain(text: str) -> str:
    """The page uses no-break spaces and a minus sign."""
    return text.replace("\u00a0", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "improved, throughput_mbit and p99_ms +130.4 % (95 % interval +118.2 % to +141.9 %), proved in 2 pairs"),
        ({"verdict": "no_improvement"}, "no improvement, no values were proved better than the original ones"),
        (
            {"verdict": "no_improvement", "guard_benchmarks": [{**REFUSING, "holds": True, "name": "a"}, REFUSING]},
            "no improvement, no values could be shown to improve throughput_mbit and p99_ms and to leave "
            "guard benchmark receive unharmed, so keep the original ones",
        ),
        (
            {"verdict": "no_improvement", "guard_benchmarks": [DROPPING, NOT_MEASURED]},
            "no improvement, no values could be shown to improve throughput_mbit and p99_ms and to leave "
            "guard benchmark receive unharmed, so keep the original ones",
        ),
        ({"verdict": "failed"}, "failed, no values were learned"),
        ({"verdict": "stopped"}, "stopped, no improvement was proved yet"),
        (
            {"verdict": "stopped", "proved": True},
            "stopped, throughput_mbit and p99_ms +130.4 % (95 % interval +118.2 % to +141.9 %), "
            "proved in 2 pairs; the ablation was not completed",
        ),
        (
            {"verdict": "failed", "proved": True},
            "failed, throughput_mbit and p99_ms +130.4 % (95 % interval +118.2 % to +141.9 %), "
            "proved in 2 pairs; the ablation was not completed",
        ),
    ],
)
def test_terminal_report_and_page_agree(improved: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    result = Result.model_validate({**improved, "objectives": TWO, **changes})
    (first, *dummy) = summary(result, Path("learned")).splitlines()
    assert first.startswith(f"wan-transfer: {words}")
    heading, text = first.removeprefix("wan-transfer: ").split(", ", 1)
    assert f"<strong>{heading.capitalize()}:</strong> {escape(text, quote=False)}.".replace("'", "&#39;") in render(
        result, ""
    )
    status = {"verdict": result.verdict, "best_percent": 77.0}
    page = headline({"metric": "throughput_mbit", "result": result.model_dump(mode="json")}, status)
    assert plain(page) == f"{heading.capitalize()}: {text}."


def test_terminal_and_report_tell_not_measured_from_not_shown(improved: dict[str, Any]) -> None:
    guards = {"guard_benchmarks": [REFUSING, NOT_MEASURED], "verdict": "no_improvement"}
    result = Result.model_validate({**improved, **guards})
    lines = summary(result, Path("learned")).splitlines()
    assert "  guard benchmark receive -9.0 % (limit -3.0 %): non-inferiority not shown" in lines
    assert "  guard benchmark requests - (limit -3.0 %): non-inferiority not measured" in lines
    report = render(result, "")
    assert report.count("<td>not measured</td>") == report.count("<td>not shown</td>") == 1


@pytest.mark.parametrize(
    ("verdict", "proved"), [("stopped", True), ("failed", True), ("improved", True), ("no_improvement", False)]
)
def test_evidence_is_proved_if_the_result_is(improved: dict[str, Any], verdict: str, proved: bool) -> None:
    raw = Result.model_validate(improved | {"verdict": verdict, "proved": proved}).model_dump(mode="json")
    found = evidence(raw)
    assert found is not None
    assert found["proved"] is proved
    assert found["interpretation"].startswith("With 95 % confidence") is proved
    assert ("best candidate, not proved" in render(Result.model_validate(raw), "")) is not proved


def test_zero_is_a_valid_value(improved: dict[str, Any]) -> None:
    """A pair with a log ratio of 0 over all objectives is not better, even if its metric is higher."""
    improved["evidence"][0]["log_ratio"] = 0.0
    found = evidence(improved | {"p_value": 0.0})
    assert found is not None
    assert found["better"] == 1
    assert "have probability 0." in found["interpretation"]


def host(name: str, restored: bool | None, doing: str | None = None) -> dict[str, Any]:
    return {"name": name, "restored": restored, "doing": doing}


def test_restoration_is_what_the_hosts_reported() -> None:
    assert restoration([]) is None
    fine = restoration([host("a", True), host("b", True)])
    assert fine is not None
    assert (fine.text, fine.needs_attention) == ("The original values of all hosts were restored and verified.", False)
    mixed = restoration([host("a", True), host("b", False), host("c", None), host("d", None, "leaves")])
    assert mixed is not None
    assert mixed.needs_attention
    assert "needs attention (see the log): b." in mixed.text
    assert "Restoring original values: d." in mixed.text
    assert "the lease restores the original values: c." in mixed.text
    assert "All hosts" not in mixed.text
    unreported = restoration(
        [host("d", None, "leaves")], over=True
    )  # its controller died: nothing restores it any more
    assert unreported is not None
    assert unreported.text == "No contact since tuning; the lease restores the original values: d."
    many = restoration([host(f"h{number}", None) for number in range(9)])
    assert many is not None
    assert many.text.endswith("h4, h5 and 3 more.")


def test_page_and_result_measure_variation_alike(improved: dict[str, Any]) -> None:
    """Hosts differ more than the trials on one host: a spread over all pairs would be no variation."""
    pairs = [
        {
            "host": name,
            "pair": pair,
            "first": "baseline",
            "baseline": base + pair,
            "candidate": base * 2,
            "log_ratio": 0.7,
        }
        for name, base in (("h1", 100.0), ("h2", 1000.0))
        for pair in (1, 2, 3)
    ]
    found = evidence(improved | {"evidence": pairs})
    assert found is not None
    assert found["arms"]["baseline"]["cv_percent"] == pytest.approx(0.54, abs=0.01)
    assert found["arms"]["candidate"]["cv_percent"] == 0.0
    assert (
        variation_percent([[101.0, 102.0, 103.0], [1001.0, 1002.0, 1003.0]]) == found["arms"]["baseline"]["cv_percent"]
    )
    assert variation_percent([[100.0], []]) is None
