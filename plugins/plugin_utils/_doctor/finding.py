# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the doctor finds, and the report of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from .._plain import plain_line

CONTROLLER, STUDY = "controller", "study"


class Severity(StrEnum):
    """PROBLEM: a study would fail, or its result not last. WARNING: it runs, but less well than it could."""

    PROBLEM = "problem"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """where: a host of the inventory, CONTROLLER or STUDY. remedy: a command or an edit, to be copied."""

    where: str
    severity: Severity
    what: str
    remedy: str

    def as_result(self) -> dict[str, str]:
        """For a task's result."""
        return {**asdict(self), "severity": self.severity.value}

    @classmethod
    def from_result(cls, found: Mapping[str, str]) -> Finding:
        return cls(found["where"], Severity(found["severity"]), found["what"], found["remedy"])


def problem(where: str, what: str, remedy: str) -> Finding:
    return Finding(where, Severity.PROBLEM, what, remedy)


def warning(where: str, what: str, remedy: str) -> Finding:
    return Finding(where, Severity.WARNING, what, remedy)


def of_message(where: str, message: str, otherwise: str, severity: Severity = Severity.PROBLEM) -> Finding:
    """From a message of another check, which says what is wrong and, after a semicolon, what to do.

    otherwise: the remedy if it does not say what to do.
    """
    what, dummy, remedy = message.partition("; ")
    return Finding(where, severity, what, remedy or otherwise)


def report(findings: Sequence[Finding], examined: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """The lines to print: grouped by place, the worst places and findings first; at the end the conclusion.

    examined: the hosts that were examined. left_out: those that could not be, because the controller lacks something.
    """
    by_place: dict[str, list[Finding]] = {}
    for finding in findings:
        by_place.setdefault(finding.where, []).append(finding)
    lines = []
    for place in sorted(by_place, key=lambda name: _badness(by_place[name])):
        lines.append(plain_line(place))
        for finding in sorted(by_place[place], key=lambda found: found.severity):  # "problem" comes before "warning"
            lines += [f"  {finding.severity}: {plain_line(finding.what)}", f"    remedy: {plain_line(finding.remedy)}"]
    return [*lines, conclusion(findings, examined, left_out)]


def _badness(findings: Sequence[Finding]) -> tuple[int, int]:
    problems = sum(finding.severity is Severity.PROBLEM for finding in findings)
    return -problems, problems - len(findings)


def conclusion(findings: Sequence[Finding], examined: Sequence[str], left_out: Sequence[str]) -> str:
    """One line on all findings."""
    rest = f"; not examined: {plain_line(', '.join(left_out))}" if left_out else ""
    if not findings:
        return f"nothing found on {_counted(len(examined), 'host')} and the controller{rest}"
    return f"{', '.join(_counts(findings))}{rest}"


def _counts(findings: Sequence[Finding]) -> Iterator[str]:
    for severity in Severity:
        if count := sum(finding.severity is severity for finding in findings):
            yield _counted(count, severity)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
