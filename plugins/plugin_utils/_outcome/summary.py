# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the user reads when a study has ended: the verdict, the values, where everything is, what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from .result import Result
from .text import contributes, count, ending, found, names, number, one_line, per_cent


def summary(result: Result, folder: Path, inventory: str = "INVENTORY") -> str:
    """The closing text, without a newline at its end; `folder` and `inventory` as the user would type them."""
    said = ending(result)
    lines = [f"{result.workload_name}: {said.heading.lower()}, {said.text}"]
    if result.reason:
        lines.append(f"  {one_line(result.reason)}")
    lines += _figures(result)
    if result.improved:
        lines += ["", *_values(result)]
    lines += ["", *_places(result, folder)]
    if result.improved:
        lines += ["", *_next(folder, inventory)]
    elif result.verdict == "stopped" and result.study_id is not None:
        lines += ["", f"  go on   the same command with -e resume={result.study_id}"]
    return "\n".join(lines)


def _figures(result: Result) -> list[str]:
    lines = []
    if result.baseline and result.best:
        p_value = f", p = {result.p_value:.2g}" if result.p_value is not None else ""
        lines.append(
            f"  baseline {number(result.baseline.metric)}, best {number(result.best.metric)} "
            f"({one_line(result.metric)}, {result.direction}), {result.pairs} pairs{p_value}"
        )
    lines += [
        f"  {one_line(guard.metric)} {per_cent(guard.change)}, may worsen by {guard.may_worsen:g} %: "
        f"{'holds' if guard.holds else 'not shown to hold'}"
        for guard in result.guard_metrics
    ]
    lines += [
        f"  {one_line(objective.metric)} {per_cent(objective.change)} by itself (above 0 is better), "
        f"weight {objective.weight:g}"
        for objective in result.objectives
        if objective.change is not None
    ]
    if total := result.evaluations.get("total"):
        failed = result.evaluations.get("failed", 0)
        seconds = result.seconds.get("total")
        needless = result.not_needed
        lines.append(
            f"  {count(total, 'evaluation')}{f' ({failed} failed)' if failed else ''} "
            f"on {count(len(result.per_host), 'host')}"
            + (f" in {seconds / 60:.1f} min" if seconds else "")
            + (f"; {needless} of {total + needless} planned were not needed" if needless else "")
        )
    saved = result.early_stopping
    if saved and saved.training:
        lines.append(
            f"  training ended {count(saved.evaluations_saved, 'evaluation')} early: {one_line(saved.training)}"
        )
    if saved and saved.ended_early:
        lines.append(f"  {saved.ended_early} of them ended early, which saved {saved.seconds_saved / 60:.1f} min")
    return lines


def _values(result: Result) -> list[str]:
    rows = [
        (
            "parameter",
            "from",
            "to",
            "contributes" if any(change.share is not None for change in result.changes) else "",
        ),
        *(
            (one_line(change.param), found(change), one_line(change.to), contributes(change))
            for change in result.changes
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  " + "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)) for row in rows]
    left = [
        f"  {what}: {names(parameters)}"
        for what, parameters in (("of no measurable use", result.dropped), ("as every host had it", result.unchanged))
        if parameters
    ]
    return [line.rstrip() for line in [*lines, *left]]


def _places(result: Result, folder: Path) -> list[str]:
    places = [("result", f"{folder / 'result.json'}"), ("report", f"{folder / 'report.html'}")]
    if result.improved:
        places.append(("role", f"{folder / 'roles' / result.role}"))
    if result.store:
        study = f" (study {result.study_id})" if result.study_id is not None else ""
        places.append(("store", one_line(result.store) + study))
    return [f"  {name:<8}{place}" for name, place in places]


def _next(folder: Path, inventory: str) -> list[str]:
    inventory = shlex.quote(inventory)
    apply, rollback = (shlex.quote(str(folder / name)) for name in ("apply.yml", "rollback.yml"))
    return [
        f"  see     ansible-playbook {apply} -i {inventory} --check --diff",
        f"  apply   ansible-playbook {apply} -i {inventory}",
        f"  undo    ansible-playbook {rollback} -i {inventory}",
    ]
