"""Noise and several objectives in the report."""

from __future__ import annotations

from typing import Any

from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.html_report import render
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result


def test_the_report_tells_the_noise_the_shifts_and_each_objectives_part(improved: dict[str, Any]) -> None:
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
    early = {"training": "the last 20 evaluations brought 0 % more", "evaluations_saved": 35}
    raw = improved | {"noise": noise, "objectives": objectives, "early_stopping": early}
    page = render(Result.model_validate(raw), "mark")
    assert "baseline noise between runs: 3 %; h1: baseline shifted by -30.0 %" in page
    assert "its baseline is &lt;3&gt; times as noisy" in page
    assert "<dt>p99_ms</dt><dd>+40.0 % (above 0 is better), minimise, weight 0.5</dd>" in page
    assert "stopped 35 evaluations early: the last 20 evaluations brought 0 % more" in page
