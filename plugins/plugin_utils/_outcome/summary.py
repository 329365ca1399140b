# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The closing summary on the terminal: the verdict, the values, the files and the next commands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from .._proof.evidence import GuardBenchmarkOutcome, GuardOutcome
from .filters import (
    basis,
    carry_over,
    contribution,
    count,
    ending,
    items,
    limit,
    names,
    non_inferiority,
    number,
    objectives,
    one_line,
    original,
    per_cent,
    unrecovered,
)
from .result import Result


def summary(result: Result, folder: Path, hosts: Sequence[str] = ("-i", "INVENTORY")) -> str:
    """Without a trailing newline; `folder` as the user would type it. hosts: the options that name the run's hosts."""
    found = ending(result)
    lines = [f"{result.workload_name}: {found.heading.lower()}, {found.text}"]
    if result.reason:
        lines.append(f"  {one_line(result.reason).removesuffix('.')}.")
    lines += [f"  {text}." for text in unrecovered(result)]
    lines += _numbers(result)
    if result.improved:
        lines += ["", *_values(result)]
    lines += ["", *_files(result, folder)]
    if result.improved:
        lines += ["", *_commands(folder, hosts)]
    elif result.verdict in ("stopped", "failed") and result.study_id is not None:
        lines += ["", f"  resume    the same command with -e resume={result.study_id}"]
    return "\n".join(lines)


def _numbers(result: Result) -> list[str]:
    lines = []
    if result.baseline and result.best:
        p_value = f", p = {result.p_value:.2g}" if result.p_value is not None else ""
        lines.append(
            f"  baseline {number(result.baseline.metric)}, best {number(result.best.metric)} "
            f"({one_line(result.metric)}, {result.direction}), {result.pairs} pairs{p_value}"
            + (f", proved after {result.decided_after}" if result.decided_after else "")
        )
    if found := carry_over(result):
        lines.append(f"  carry-over {found}")
    lines += [
        f"  {one_line(guard.metric)} {per_cent(guard.change)} (limit {limit(guard)}): {_non_inferiority(guard)}"
        for guard in result.guard_metrics
    ]
    for benchmark in result.guard_benchmarks:
        lines.append(
            f"  guard benchmark {one_line(benchmark.name)} {per_cent(benchmark.change)} "
            f"(limit {limit(benchmark)}): {_non_inferiority(benchmark)}"
        )
        if benchmark.dropped:
            lines.append(f"  removed, because it worsens {one_line(benchmark.name)}: {names(benchmark.dropped)}")
    lines += [f"  {objective}" for objective in objectives(result)]
    if total := result.trials.get("total"):
        failed, seconds = result.trials.get("failed", 0), result.seconds.get("total")
        lines.append(
            f"  {count(total, 'trial')}{f' ({failed} failed)' if failed else ''} "
            f"on {count(len(result.per_host), 'host')}"
            + (f" in {seconds / 60:.1f} min" if seconds else "")
            + (f", {result.not_needed} fewer than planned" if result.not_needed else "")
        )
    saved = result.early_stopping
    if saved and saved.training:
        lines.append(f"  training stopped {count(saved.trials_saved, 'trial')} early: {one_line(saved.training)}")
    return lines


def _non_inferiority(guard: GuardOutcome | GuardBenchmarkOutcome) -> str:
    return "non-inferior" if guard.holds else f"non-inferiority {non_inferiority(guard)}"


def _values(result: Result) -> list[str]:
    known = any(change.contribution is not None for change in result.changes)
    rows = [
        ("parameter", "original", "learned", "contribution" if known else ""),
        *(
            (one_line(change.param), original(change), one_line(change.learned), contribution(change))
            for change in result.changes
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = ["  " + "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)) for row in rows]
    lines = table[:1]
    for row, change in zip(table[1:], result.changes, strict=True):
        lines.append(row)
        lines += items(basis(change), indent=4)
    if result.ablation:
        left_out = {
            "dropped, not shown to contribute": result.ablation.parameters("dropped"),
            "reset before the race, as the surrogate predicted no benefit": result.ablation.parameters("reset"),
            "already set on every host": result.ablation.parameters("unchanged"),
        }
        lines += [f"  {why}: {names(parameters)}" for why, parameters in left_out.items() if parameters]
    return [line.rstrip() for line in lines]


def _files(result: Result, folder: Path) -> list[str]:
    places = {"result": f"{folder / 'result.json'}", "report": f"{folder / 'report.html'}"}
    if result.improved:
        places["role"] = f"{folder / 'roles' / result.role}"
    if result.store:
        study = f" (study {result.study_id})" if result.study_id is not None else ""
        places["store"] = one_line(result.store) + study
    return [f"  {name:<10}{place}" for name, place in places.items()]


def _commands(folder: Path, hosts: Sequence[str]) -> list[str]:
    options = shlex.join(hosts)
    apply, rollback = (shlex.quote(str(folder / name)) for name in ("apply.yml", "rollback.yml"))
    return [
        f"  preview   ansible-playbook {apply} {options} --check --diff",
        f"  apply     ansible-playbook {apply} {options}",
        f"  roll back ansible-playbook {rollback} {options}",
    ]
