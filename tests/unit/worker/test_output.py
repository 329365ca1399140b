"""What a benchmark's output says."""

from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.output import BenchmarkOutput


@pytest.mark.parametrize(
    ("line", "streamed"),
    [
        ("m: 5", [5.0]),
        ("m: 5.25", [5.25]),
        ("m: .5", [0.5]),
        ("m: 5.", [5.0]),
        ("m: -5", [-5.0]),
        ("m: +5", [5.0]),
        ("m: 1e3", [1000.0]),
        ("m: 1.5E-3", [0.0015]),
        ("  m  :  5  ", [5.0]),
        ("m:5", [5.0]),
        ("m: 5\r", [5.0]),
        ("50 %\r100 %\rm: 5", [5.0]),
        ("\x1b[32mm: 5\x1b[0m", [5.0]),
        ("\x1b[2K\x1b[1Gm: \x1b[1;31m5\x1b[m", [5.0]),
        ("M: 5", []),
        ("mm: 5", []),
        ("m 5", []),
        ("m = 5", []),
        ("m:", []),
        ("the m: 5", []),
        ("", []),
    ],
)
def test_finds_the_metric_in_a_line(line: str, streamed: list[float]) -> None:
    output = BenchmarkOutput("m")
    output.feed(line)
    assert (output.streamed, output.malformed) == (streamed, "")


@pytest.mark.parametrize(
    "text", ["1.234,5", "1,234.5", "1 234", "94.3 Mbit/s", "5K", "0x10", "1_000", "٥", "five", "5 6", "--5", "1e"]
)
def test_rejects_malformed_numbers(text: str) -> None:
    output = BenchmarkOutput("m")
    output.feed(f"m: {text}")
    assert (output.streamed, output.malformed) == ([], text)


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "1e999"])
def test_infinite_values_are_not_metrics(text: str) -> None:
    output = BenchmarkOutput("m")
    output.feed(f"m: {text}")
    output.feed(f"other: {text}")
    assert len(output.streamed) == 1
    assert output.metrics == {}


def test_keeps_the_last_value_of_each_metric_and_all_values_of_the_main_one() -> None:
    output = BenchmarkOutput("m")
    for line in ("m: 1", "other: 7", "m: 2", "note: hello", "other: 8", "m: 3"):
        output.feed(line)
    assert (output.streamed, output.metrics) == ([1.0, 2.0, 3.0], {"m": 3.0, "other": 8.0})


def test_no_number_of_other_metrics_displaces_the_main_one() -> None:
    output = BenchmarkOutput("m")
    for at in range(2000):
        output.feed(f"m{at}: 1")
    output.feed("m: 5")
    assert output.metrics["m"] == 5.0
    assert len(output.metrics) <= 1001


def test_memory_is_limited_and_the_last_value_is_kept() -> None:
    output = BenchmarkOutput("m")
    for at in range(30_000):
        output.feed(f"m: {at}")
        output.feed(f"m{at}: 1")
    assert output.streamed[-1] == 29_999
    assert len(output.streamed) == 10_000
    assert len(output.metrics) == 1000
