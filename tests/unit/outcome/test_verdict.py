"""The verdict as text: the same on the terminal, in the report and on the page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.dashboard.formatting import left_with, sentence
from ansible_collections.autotune.kernel.dashboard.study_view import evidence
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.html_report import render
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.summary import summary

TWO = [
    {"metric": "throughput_mbit", "direction": "maximise", "weight": 1.0, "change": 150.0},
    {"metric": "p99_ms", "direction": "minimise", "weight": 1.0, "change": 112.0},
]


def plain(text: str) -> str:
    """The page uses no-break spaces and a minus sign."""
    return text.replace("\u00a0", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "improved, throughput_mbit and p99_ms +130.4 % (95 % interval +118.2 % to +141.9 %), proved in 2 pairs"),
        ({"verdict": "no_improvement"}, "no improvement, nothing was proved better than the original values"),
        ({"verdict": "failed"}, "failed, no values were learned"),
        ({"verdict": "stopped"}, "stopped, no improvement was proved yet"),
        (
            {"verdict": "stopped", "proved": True},
            "stopped, throughput_mbit and p99_ms +130.4 % (95 % interval +118.2 % to +141.9 %), "
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
    page = sentence({"metric": "throughput_mbit", "result": result.model_dump(mode="json")}, status)
    assert plain(page) == f"{heading.capitalize()}: {text}."


@pytest.mark.parametrize(("verdict", "proved"), [("stopped", True), ("improved", True), ("no_improvement", False)])
def test_evidence_is_significant_if_the_proof_was(improved: dict[str, Any], verdict: str, proved: bool) -> None:
    raw = Result.model_validate(improved | {"verdict": verdict, "proved": proved}).model_dump(mode="json")
    found = evidence(raw)
    assert found is not None
    assert found["significant"] is proved
    assert found["words"].startswith("With 95 % confidence") is proved
    assert ("best candidate, not proved" in render(Result.model_validate(raw), "")) is not proved


def test_zero_is_a_valid_value(improved: dict[str, Any]) -> None:
    """A pair with a log ratio of 0 over all objectives is not better, even if its metric is higher."""
    improved["evidence"][0]["log_ratio"] = 0.0
    found = evidence(improved | {"p_value": 0.0})
    assert found is not None
    assert found["better"] == 1
    assert "with probability 0." in found["words"]


NEW = {"proved": False}


def host(name: str, restored: bool | None, doing: str | None = None) -> dict[str, Any]:
    return {"name": name, "restored": restored, "doing": doing}


def test_the_page_reports_the_state_of_hosts_as_they_reported_it() -> None:
    assert left_with([], NEW) is None
    fine = left_with([host("a", True), host("b", True)], NEW)
    assert fine is not None
    assert (fine.text, fine.needs_attention) == ("Every host has its own values back, verified.", False)
    mixed = left_with([host("a", True), host("b", False), host("c", None), host("d", None, "leaves")], NEW)
    assert mixed is not None
    assert mixed.needs_attention
    assert "needs attention (the log says what is wrong): b." in mixed.text
    assert "being put back: d." in mixed.text
    assert "its lease puts its own values back: c." in mixed.text
    assert "Every host" not in mixed.text
    many = left_with([host(f"h{number}", None) for number in range(9)], NEW)
    assert many is not None
    assert many.text.endswith("h4, h5 and 3 more.")


def test_hosts_of_older_stores_are_not_reported_as_silent() -> None:
    """An earlier version recorded the end of hosts only in the log."""
    assert left_with([host("a", None)], {"verdict": "improved"}) is None
    assert left_with([host("a", None)], None) is None
