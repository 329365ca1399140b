"""Metrics in the output of tools, as Debian 12's versions printed it (outputs/), and by path or pattern."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.output_format import Extraction, OutputFormat
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.output import BenchmarkOutput, missing_metric
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.output_formats import (
    NUMBER,
    UnreadableOutput,
    metrics_of,
)
from hypothesis import given
from hypothesis import strategies as st

OUTPUTS = Path(__file__).parent / "outputs"
# What wrk says nothing of where there were none; a guard metric may be one of them.
SILENT = ("failed_responses", "connect_errors", "read_errors", "write_errors", "timeouts")
TOOLS = ("fio", "iperf3", "pgbench", "redis-benchmark", "sysbench", "wrk")


@pytest.mark.parametrize(
    ("tool", "file", "expected"),
    [
        (
            "wrk",
            "wrk.txt",
            {
                "requests_per_second": 1000.55,
                "transfer_mb_per_second": 200.5 * 1024 / 1e6,
                "latency_mean_ms": 5.42,
                "latency_p50_ms": 3.05,
                "latency_p75_ms": 5.9,
                "latency_p90_ms": 10.31,
                "latency_p99_ms": 49.63,
                **dict.fromkeys(SILENT, 0.0),
            },
        ),
        (
            "wrk",
            "wrk-404.txt",
            {
                "requests_per_second": 1013.84,
                "transfer_mb_per_second": 514.84 * 1024 / 1e6,
                "latency_mean_ms": 2.21,
                **dict.fromkeys(SILENT, 0.0),
                "failed_responses": 1015,
            },
        ),
        ("pgbench", "pgbench.txt", {"tps": 377.009818, "latency_mean_ms": 5.305, "failed_transactions": 0}),
        (
            "redis-benchmark",
            "redis-benchmark.csv",
            {
                "set_requests_per_second": 21276.6,
                "set_latency_p99_ms": 7.215,
                "get_latency_mean_ms": 0.745,
                "lrange_100_requests_per_second": 29850.75,
            },
        ),
        (
            "sysbench",
            "sysbench-cpu.txt",
            {"events_per_second": 1291.4, "latency_mean_ms": 0.77, "latency_p95_ms": 2.61},
        ),
        (
            "sysbench",
            "sysbench-memory.txt",
            {"operations_per_second": 2121136.53, "transfer_mb_per_second": 2071.42 * 1024**2 / 1e6},
        ),
        ("sysbench", "sysbench-oltp.txt", {"transactions_per_second": 139.17, "queries_per_second": 2783.41}),
        (
            "fio",
            "fio.json",
            {"read_iops": 5450.549451, "read_mb_per_second": 22.32545, "read_latency_p99_ms": 3.6864},
        ),
    ],
)
def test_reads_what_a_tool_printed(tool: Any, file: str, expected: dict[str, float]) -> None:
    found = metrics_of((OUTPUTS / file).read_text(), tool)
    assert {name: found.get(name) for name in expected} == pytest.approx(expected)
    if tool in ("wrk", "pgbench"):
        assert set(found) == set(expected)


def test_pgbench_that_reconnects_has_a_rate_too() -> None:
    """With -C; before version 14 the same words stood beside the rate without connections."""
    assert metrics_of("tps = 465.116279 (including reconnection times)\n", "pgbench") == {"tps": 465.116279}
    old = "tps = 85.1 (including connections establishing)\ntps = 90.5 (excluding connections establishing)\n"
    assert metrics_of(old, "pgbench") == {"tps": 90.5}
    old = "tps = 90.5 (excluding connections establishing)\ntps = 85.1 (including connections establishing)\n"
    assert metrics_of(old, "pgbench") == {"tps": 90.5}


@pytest.mark.parametrize("percentile", [{"50.000000": 1, "99.900000": 2}, {}, None, {"99.000000": "?"}])
def test_a_missing_percentile_of_fio_costs_only_its_own_metric(percentile: Any) -> None:
    ran = {"total_ios": 10, "iops": 123.0, "bw_bytes": 5e6, "clat_ns": {"mean": 5e5, "percentile": percentile}}
    text = json.dumps({"jobs": [{"write": ran}, {"write": ran, "read": {"total_ios": 0}}]})
    assert metrics_of(text, "fio") == {
        "write_iops": 246.0,
        "write_mb_per_second": 10.0,
        "write_latency_mean_ms": 0.5,
    }


@pytest.mark.parametrize(
    ("tool", "text", "found"),
    [
        ("fio", '{"jobs": [{"read": {"total_ios": 1, "iops": 7}}]}', {"read_iops": 7}),
        ("iperf3", '{"end": {"sum_received": null, "sum_sent": {"retransmits": 3}}}', {"retransmits": 3}),
        (
            "redis-benchmark",
            '"test","rps","avg_latency_ms"\n"SET","nothing","0.5"\n"GET","7","-"\n',
            {"set_latency_mean_ms": 0.5, "get_requests_per_second": 7},
        ),
        ("redis-benchmark", '"test","rps"\n"SET"\n"GET","7","8"\n', {"get_requests_per_second": 7}),
    ],
)
def test_a_metric_that_a_tool_left_out_costs_no_other(tool: Any, text: str, found: dict[str, float]) -> None:
    assert metrics_of(text, tool) == found


def test_reads_what_iperf3_printed() -> None:
    text = (OUTPUTS / "iperf3.json").read_text()
    received, sent = (json.loads(text)["end"][part] for part in ("sum_received", "sum_sent"))
    found = metrics_of(text, "iperf3")
    assert found == {"throughput_mbit": received["bits_per_second"] / 1e6, "retransmits": sent["retransmits"]}
    assert set(metrics_of((OUTPUTS / "iperf3-udp.json").read_text(), "iperf3")) == {
        "throughput_mbit",
        "jitter_ms",
        "lost_percent",
    }


def test_errors_of_wrk_are_told_apart() -> None:
    text = "  Socket errors: connect 300, read 12, write 0, timeout 7\nRequests/sec:    10.00\n"
    assert metrics_of(text, "wrk") == {
        "requests_per_second": 10, "connect_errors": 300, "read_errors": 12, "write_errors": 0, "timeouts": 7,
        "failed_responses": 0,
    }  # fmt: skip
    assert metrics_of("unable to connect to 127.0.0.1:1 Connection refused\n", "wrk") == {}


@pytest.mark.parametrize(
    ("line", "milliseconds"),
    [("99%  635.91us", 0.63591), ("99%    1.05s", 1050), ("99%    1.50m", 90_000), ("99.9%  7.00ms", 7)],
)
def test_times_of_wrk_become_milliseconds(line: str, milliseconds: float) -> None:
    (value,) = metrics_of(f"    {line}", "wrk").values()
    assert value == pytest.approx(milliseconds)


DOCUMENT = '{"runs": [{"ops": 1}, {"ops": 7.5, "p": {"99.0": 3}, "name": "x", "ok": true}], "big": 1e999}'


@pytest.mark.parametrize(
    ("path", "value"), [("runs[1].ops", 7.5), ("runs[-1].ops", 7.5), ('runs[1].p."99.0"', 3), ("runs[0].ops", 1)]
)
def test_finds_a_number_by_its_path(path: str, value: float) -> None:
    assert metrics_of(DOCUMENT, Extraction(paths={"m": path})) == {"m": value}


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("runs[1].opps", "`1` has ops and p and name and ok"),
        ("runs[2].ops", "`runs` is a list of 2"),
        ("run", "the document has runs and big"),
        ("runs[1].name", '`name` is "x"'),
        ("runs[1].ok", "`ok` is true"),
        ("runs", "`runs` is a list of 2"),
    ],
)
def test_a_wrong_path_shows_where_it_ends(path: str, where: str) -> None:
    output = BenchmarkOutput("m", Extraction(paths={"m": path}))
    output.feed(DOCUMENT)
    output.conclude()
    assert not output.streamed
    assert missing_metric(output, "") == f"has no number at {path}, the path of m: {where}"


def test_the_last_match_of_a_pattern_counts() -> None:
    text = "p99 latency = 9 ms\nnoise\np99 latency = 4.5 ms\np99 latency = none ms\n"
    assert metrics_of(text, Extraction(patterns={"p99_ms": r"^p99 latency = (\S+) ms$"})) == {"p99_ms": 4.5}


@pytest.mark.parametrize(
    ("text", "value"),
    [(".5", 0.5), ("3.", 3.0), ("-.5", -0.5), ("+7", 7.0), ("1e3", 1000.0), (" 5 ", 5.0), ("2.5E-1", 0.25)],
)
def test_a_pattern_finds_every_number_that_a_line_may_have(text: str, value: float) -> None:
    assert metrics_of(f"rate: {text};", Extraction(patterns={"m": "rate:([^;]*);"})) == {"m": value}
    assert NUMBER.fullmatch(text.strip())


@pytest.mark.parametrize("text", ["1,234.5", "1.234,5", "none", "٥", "nan", "inf", "5 MB"])
def test_what_a_pattern_matched_and_is_no_number_is_shown(text: str) -> None:
    output = BenchmarkOutput("m", Extraction(patterns={"m": "rate: (.*)"}))
    for line in ("rate: 1e", f"rate: {text}", "rate:", "done"):
        output.feed(line)
    output.conclude()
    assert output.metrics == {}
    assert missing_metric(output, "") == (
        f"printed `{text}`, which is not a finite number, where 'rate: (.*)', the pattern of m, matches; have the "
        "group match a number such as 1234.5, and nothing else"
    )


def test_a_group_that_takes_no_part_matches_nothing() -> None:
    output = BenchmarkOutput("m", Extraction(patterns={"m": r"rate|speed (\d+)"}))
    output.feed("rate")
    output.conclude()
    assert "printed nothing that matches" in missing_metric(output, "")


def test_a_wrong_pattern_shows_the_end_of_the_output() -> None:
    output = BenchmarkOutput("m", Extraction(patterns={"m": r"speed (\d+)"}))
    for line in ("starting", "velocity 9"):
        output.feed(line)
    output.conclude()
    ending = "its output ends with 'starting\\\\nvelocity 9'"
    assert missing_metric(output, "") == f"printed nothing that matches 'speed (\\\\d+)', the pattern of m; {ending}"


@pytest.mark.parametrize(
    ("tool", "text", "reason"),
    [
        ("iperf3", '{"error": "unable to connect"}', "printed the error 'unable to connect'"),
        ("iperf3", "", "did not print one JSON document; call iperf3 with --json"),
        (
            "fio",
            "fio: no jobs",
            "did not print one JSON document; its last line was 'fio: no jobs'; call fio with --output-format=json",
        ),
        ("fio", '{"jobs": 5}', "printed something that is not the output of fio"),
        ("redis-benchmark", "SET: 5", "printed no table; call redis-benchmark with --csv"),
    ],
)
def test_says_what_is_wrong_with_the_output_of_a_tool(tool: Any, text: str, reason: str) -> None:
    with pytest.raises(UnreadableOutput) as error:
        metrics_of(text, tool)
    assert str(error.value) == reason


def test_a_metric_that_a_tool_does_not_print_is_named_with_those_that_it_does() -> None:
    output = BenchmarkOutput("throughput", "pgbench")
    for line in (OUTPUTS / "pgbench.txt").read_text().splitlines():
        output.feed(line)
    output.conclude()
    assert missing_metric(output, "") == (
        "printed no throughput, read as the output of pgbench; there is failed_transactions and latency_mean_ms and tps"
    )


@pytest.mark.parametrize("character", ["x", "é", "\ufffd"])
def test_one_line_without_end_is_refused(character: str) -> None:
    """The host's output is cut after so many bytes."""
    output = BenchmarkOutput("tps", "pgbench")
    output.feed((character.encode() * output.longest_line)[: output.longest_line].decode(errors="replace"))
    with pytest.raises(UnreadableOutput, match="printed more than 16 MiB"):
        output.conclude()
    assert output.text == []


def test_output_without_end_is_refused() -> None:
    output = BenchmarkOutput("tps", "pgbench")
    for dummy in range(17):
        output.feed("x" * 2**20)
    with pytest.raises(UnreadableOutput, match="printed more than 16 MiB"):
        output.conclude()
    assert sum(map(len, output.text)) <= 16 * 2**20


FORMATS: tuple[OutputFormat, ...] = (
    *TOOLS,  # type: ignore[arg-type]
    Extraction(paths={"m": 'a[0]."b"'}),
    Extraction(patterns={"m": r"(\d+)"}),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "end", "sum", "sum_received", "jobs", "read", "clat_ns", "error"]), children
        )
    ),
    max_leaves=8,
)


@given(st.text(max_size=200) | JSON.map(json.dumps))
def test_no_output_is_a_traceback(text: str) -> None:
    for output in FORMATS:
        try:
            found = metrics_of(text, output)
        except UnreadableOutput:
            continue
        assert all(math.isfinite(value) for value in found.values())
