# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report: by place, worst first, remedies below, one closing line."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor.finding import (
    Finding,
    Severity,
    of_message,
    problem,
    report,
    warning,
)

FOUND = [
    warning("web1", "its clock is late", "set it"),
    problem("web2", "tuned is running", "systemctl stop tuned"),
    problem("web1", "no Python", "apt-get install python3"),
    problem("web2", "no sudo", "add --become"),
]


def test_places_and_findings_are_sorted_with_the_worst_first() -> None:
    assert report(FOUND, ["web1", "web2"], []) == [
        "web2",
        "  problem: tuned is running",
        "    remedy: systemctl stop tuned",
        "  problem: no sudo",
        "    remedy: add --become",
        "web1",
        "  problem: no Python",
        "    remedy: apt-get install python3",
        "  warning: its clock is late",
        "    remedy: set it",
        "3 problems, 1 warning",
    ]


@pytest.mark.parametrize(
    ("findings", "examined", "left_out", "said"),
    [
        ([], ["web1"], [], "nothing found on 1 host and the controller"),
        ([], [], [], "nothing found on 0 hosts and the controller"),
        (FOUND[:1], ["web1"], [], "1 warning"),
        (FOUND[1:2], ["web2"], ["web1", "web3"], "1 problem; not examined: web1, web3"),
    ],
)
def test_the_closing_line_counts(findings: list[Finding], examined: list[str], left_out: list[str], said: str) -> None:
    assert report(findings, examined, left_out)[-1] == said


def test_what_a_host_says_is_made_safe_to_print() -> None:
    lines = report([problem("web\x1b1", "a\nb", "c\x07")], ["web1"], [])
    assert lines[:3] == [r"web\x1b1", r"  problem: a\nb", r"    remedy: c\x07"]


def test_the_remedy_is_what_a_message_says_after_the_semicolon() -> None:
    assert of_message("web1", "vm.x is on the denylist; add it", "else") == problem(
        "web1", "vm.x is on the denylist", "add it"
    )
    assert of_message("web1", "it is broken", "mend it", Severity.WARNING) == warning("web1", "it is broken", "mend it")


def test_a_finding_survives_the_way_through_a_result() -> None:
    for finding in FOUND:
        assert Finding.from_result(json.loads(json.dumps(finding.as_result()))) == finding
