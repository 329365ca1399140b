"""The key `output` of a study."""

from __future__ import annotations

import pytest

from .conftest import Mistakes, Read


@pytest.mark.parametrize("value", ["lines", "wrk", "redis-benchmark"])
def test_a_tool_is_named(value: str, study_with: Read) -> None:
    assert study_with(f"output: {value}").study.output == value


def test_metrics_are_given_by_paths_or_by_patterns(study_with: Read) -> None:
    paths = study_with("""output: {paths: {throughput: 'runs[0]."a.b".ops', other: x}}""").study.output
    patterns = study_with(r"output: {patterns: {throughput: 'speed (\S+)'}}").study.output
    assert paths.rules == {"throughput": 'runs[0]."a.b".ops', "other": "x"}  # type: ignore[union-attr]
    assert patterns.rules == {"throughput": r"speed (\S+)"}  # type: ignore[union-attr]


def test_guard_metrics_are_found_too(study_with: Read, mistakes_with: Mistakes) -> None:
    guards = "guard_metrics: [{metric: p99, direction: minimise, may_worsen: 5}]"
    for rules in ("{paths: {throughput: x}}", "{patterns: {throughput: (x)}}"):
        assert mistakes_with(f"output: {rules}\n{guards}") == [
            "guard_metrics: `output` does not say where p99 is, only throughput"
        ]
    for output in ("{paths: {throughput: x, p99: y}}", "lines", "wrk"):
        assert study_with(f"output: {output}\n{guards}").study.guard_metrics[0].metric == "p99"


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ("{paths: {other: x}}", "does not say where throughput is, only other"),
        ("{}", "give either paths, of a JSON document, or patterns"),
        ("{paths: {throughput: x}, patterns: {throughput: (x)}}", "give either paths, of a JSON document, or patterns"),
        ("{paths: {throughput: 'a..b'}}", "a..b is not a path"),
        ("{paths: {throughput: ''}}", "a path is empty"),
        ("{patterns: {throughput: 'speed .*'}}", "must have one group, in parentheses, around the number; it has 0"),
        ("{patterns: {throughput: '(speed'}}", "is not a regular expression"),
        (
            "{patterns: {throughput: '(?P<a>x){999999999999}'}}",
            "is not a regular expression: the repetition number is too large",
        ),
        pytest.param(
            f"{{patterns: {{throughput: '{'(' * 490}'}}}}", "is not a regular expression", id="nested too deeply"
        ),
        ("iperf2", "iperf3"),
    ],
)
def test_a_mistake_is_named(value: str, mistake: str, mistakes_with: Mistakes) -> None:
    found = mistakes_with(f"output: {value}")
    assert any("output" in each and mistake in each for each in found), found
