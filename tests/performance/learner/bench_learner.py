# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Compares all algorithms on the same surfaces, under the same noise: `./dev bench-learner [--full]`.

To try a change, on surfaces other than those of the published tables:

    python tests/performance/learner/bench_learner.py --cell 64/8 --algorithms ppo,tpe,gp --surfaces 8

On families of surfaces that were held out from its development: `./dev bench-learner --families`.

What ends in the role of whole simulated studies, on four families of surfaces: `./dev bench-learner --roles`.

Finished searches are kept in build/bench-learner and are not repeated unless the algorithm's code has changed, so an
interrupted run can be continued.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before NumPy and torch are imported
from ansible_collections.autotune.kernel.tests.performance.learner import (  # noqa: E402
    families,
    proofs,
    report,
    searches,
    trained,
    unseen,
    waiting,
    whole_studies,
)
from ansible_collections.autotune.kernel.tests.performance.learner.searches import ALGORITHMS, Cell  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner.work import Row, Task, append, read, run  # noqa: E402

FOLDER = ROOT / "build/bench-learner"
# Seeds of the first surface: the published tables use surfaces on which the learner was not developed.
DEVELOPMENT, TABLES = 0, 1000
ROLES_FIRST = 1002  # the rule for what is given up for a smaller role was made after a look at 1000 and 1001
RIVALS = ["random", "ppo-plain", "tpe", "cmaes", "gp", "smac-forest"]
WITHOUT = [name for name in searches.OURS if name != report.OWN]
CELLS = ["32/4", "64/8", "64/8@1", "64/8@10", "200/8", "200/16"]
COLD, WARM = ["cold:32/8", "cold:64/8"], "warm:32/8"
FLEETS = [*report.FLEETS]
STUDIES, PER_TASK = 300, 10  # simulated studies
UNSEEN_SURFACES = 20  # of each held-out family
ROLES = 100  # whole simulated studies at each noise, over all families


class Part(NamedTuple):
    """Algorithms in a cell, and the number of surfaces by default and with --full."""

    cell: str
    algorithms: Sequence[str]
    surfaces: int
    full: int = 20


PARTS = [
    Part("32/4", [report.OWN, *RIVALS], 20, 40),
    Part("64/8", [report.OWN, *RIVALS], 20, 40),
    Part("200/8", [report.OWN, *RIVALS], 8),
    # Small effects take more surfaces: those of the components, and of PPO where hosts and loads differ.
    *(Part(cell, WITHOUT, 20, 40) for cell in ("32/4", "64/8")),
    *(Part(cell, [report.OWN], 10) for cell in (*COLD, WARM)),
    *(Part(cell, [report.OWN, "without policy"], 10, 40) for cell in FLEETS),
    *(Part(cell, ["gp", "tpe", "random"], 10) for cell in FLEETS),
    *(Part(cell, [report.OWN, *RIVALS], 0) for cell in ("64/8@1", "64/8@10", "200/16")),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all cells, on 20 or 40 surfaces; takes hours")
    parser.add_argument("--minutes", type=float, help="time limit in minutes (28; none with --full or --cell)")
    parser.add_argument("--proofs", action="store_true", help="only the simulated studies")
    parser.add_argument("--roles", action="store_true", help="only the whole studies; writes docs/figures/roles.json")
    parser.add_argument(
        "--families", action="store_true", help="only the held-out families; writes docs/figures/learner_families.json"
    )
    parser.add_argument("--cell", action="append", help="evaluations/parameters[@noise in %%], such as 64/8@10")
    parser.add_argument("--algorithms", help=f"comma-separated, among {', '.join(ALGORITHMS)}")
    parser.add_argument("--surfaces", type=int, default=24, help="surfaces per cell (%(default)s)")
    parser.add_argument("--first", type=int, default=DEVELOPMENT, help="seed of the first surface (%(default)s)")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    minutes = arguments.minutes or (
        None if any((arguments.full, arguments.cell, arguments.roles, arguments.families)) else 28.0
    )
    until = time.monotonic() + minutes * 60 if minutes else None
    if arguments.roles:
        print(whole_studies.write(learned_roles(arguments.processes, until), ROOT / "docs/figures/roles.json"))
    elif arguments.families:
        rows = searched(held_out(), arguments.processes, until)
        print(unseen.write(rows, ROOT / "docs/figures/learner_families.json"))
    elif arguments.proofs:
        print(proofs.table(simulated(arguments.processes, until)))
    elif arguments.cell:
        names = arguments.algorithms.split(",") if arguments.algorithms else [report.OWN, *RIVALS]
        if unknown := [name for name in names if name not in ALGORITHMS]:
            parser.error(f"unknown algorithm {', '.join(unknown)}; choose from {', '.join(ALGORITHMS)}")
        numbers = range(arguments.first, arguments.first + arguments.surfaces)
        wanted = [(name, cell, number) for number in numbers for cell in arguments.cell for name in names]
        rows = searched(wanted, arguments.processes, until)
        for cell in arguments.cell:
            print(f"\n**{cell}**\n\n{report.detailed(rows, cell, names)}")
    else:
        print(everything(full=arguments.full, processes=arguments.processes, until=until))


def everything(*, full: bool, processes: int, until: float | None) -> str:
    """The tables of docs/figures/learner_*.json and proof_studies.json."""
    studies = proofs.table(simulated(processes, until))
    plan = [(part, part.full if full else part.surfaces) for part in PARTS]
    # Surface by surface, so that all algorithms have nearly the same ones if the time runs out.
    wanted = [
        (name, part.cell, TABLES + at)
        for at in range(max(count for dummy, count in plan))
        for part, count in plan
        if at < count
        for name in part.algorithms
    ]
    waits = waited(until)
    rows = searched(list(dict.fromkeys(wanted)), processes, until)
    cells = [cell for cell in CELLS if any(row["cell"] == cell for row in rows)]
    fleets = [cell for cell in FLEETS if any(row["cell"] == cell for row in rows)]
    compared = [report.OWN, *RIVALS]
    ablated = [cell for cell in CELLS if any(row["cell"] == cell and row["algorithm"] in WITHOUT for row in rows)]
    sections = {
        "Share of the gap between default and optimum that is closed: median (lower quartile), surfaces": report.shares(
            rows, cells, compared
        ),
        "Median of the paired differences to ppo; below 0, ppo is better": report.differences(rows, cells, compared),
        "Ablation: effect of removing each component, mean of the paired differences": report.effects(
            rows, ablated, WITHOUT
        ),
        "Warm start": report.warm(rows, COLD, WARM),
        **{f"{report.FLEETS[cell]}, {report.words(cell)}": report.detailed(rows, cell, ALGORITHMS) for cell in fleets},
        "CPU seconds of the algorithm, per search": report.seconds(rows, cells, compared),
        "Time hosts wait for the learner": waiting.table(waits),
        "The proof": studies,
    }
    return "\n\n".join([*(f"**{title}**\n\n{table}" for title, table in sections.items()), report.cost(rows, "200/8")])


def held_out() -> list[tuple[str, str, int]]:
    numbers = range(TABLES, TABLES + UNSEEN_SURFACES)
    return [(name, cell, number) for number in numbers for cell in unseen.CELLS for name in unseen.ALGORITHMS]


def searched(wanted: Sequence[tuple[str, str, int]], processes: int, until: float | None) -> list[Row]:
    """The evaluated rows of (algorithm, cell, surface), from the files where they are known."""
    known = {searches.key(row): row for row in read(FOLDER / "searches.jsonl")}
    judged = {(*searches.key(row), row["recommendation"]): row for row in read(FOLDER / "judged.jsonl")}
    costs: dict[str, list[float]] = defaultdict(list)
    for row in known.values():
        costs[f"{row['algorithm']} {row['cell']}"].append(row["cpu_seconds"])
    found, tasks = [], []
    for name, cell, number in wanted:
        key = (name, searches.version(name), cell, str(number), searches.digest(Cell.parse(cell), number))
        if row := judged.get((*key, searches.recommendation_version())):
            found.append(row)
        else:
            kind = f"judging {name} {cell}" if key in known else f"{name} {cell}"
            tasks.append(Task(kind, _search, (known.get(key), name, cell, number)))
    return found + run(tasks, processes=processes, until=until, costs=costs)


def _search(known: Row | None, name: str, cell: str, number: int) -> Row:
    if known is None:
        known = searches.search(name, Cell.parse(cell), number)
        append(FOLDER / "searches.jsonl", known)
    row = searches.judge(known)
    append(FOLDER / "judged.jsonl", row)
    return row


def waited(until: float | None) -> list[Row]:
    """The rows of all cases, from the file where they are known; the others run in parallel, as they mostly sleep."""
    path, cases = FOLDER / "waiting.jsonl", range(len(waiting.CASES))
    known = {row["case"]: row for row in read(path) if row["version"] == waiting.version()}
    tasks = [Task("waiting", _wait, (at,)) for at in cases if at not in known]
    new = run(tasks, processes=len(cases), until=until, costs={"waiting": [200.0]})
    return [*known.values(), *new]


def _wait(at: int) -> Row:
    row = waiting.measure(at)
    append(FOLDER / "waiting.jsonl", row)
    return row


def simulated(processes: int, until: float | None) -> list[Row]:
    """The rows of all simulated studies, from the file where they are known."""
    path, version = FOLDER / "proofs.jsonl", proofs.version()
    groups = {(row["kind"], row["first"]): row for row in read(path) if row["version"] == version}
    wanted = [(kind, first) for first in range(0, STUDIES, PER_TASK) for kind in proofs.KINDS]
    tasks = [Task(f"{kind} studies", _prove, each) for each in wanted if each not in groups for kind in each[:1]]
    costs = {f"{kind} studies": [15.0] for kind in proofs.KINDS}
    found = [groups[each] for each in wanted if each in groups]
    return [
        study for row in found + run(tasks, processes=processes, until=until, costs=costs) for study in row["studies"]
    ]


def learned_roles(processes: int, until: float | None) -> list[Row]:
    """The rows of all whole studies, from the files where they are known; those with a training come first."""
    trainings, path = trained.known(FOLDER / "trained.jsonl"), FOLDER / "roles.jsonl"
    known = {
        (row["family"], row["noise"], row["number"]): row
        for row in read(path)
        if row["version"] == whole_studies.version()
    }
    wanted = [
        (family, noise, ROLES_FIRST + at)
        for at in range(ROLES // len(families.OF_ROLES))
        for family in families.OF_ROLES
        for noise in whole_studies.NOISES
    ]
    tasks = []
    for each in wanted:
        if each not in known:
            training = trainings.get(trained.key(*each))
            tasks.append(
                Task("whole study" if training else "training and whole study", _learn_role, (training, *each))
            )
    tasks.sort(key=lambda task: task.arguments[0] is None)
    costs = {"whole study": [4.0], "training and whole study": [12.0]}
    return [known[each] for each in wanted if each in known] + run(tasks, processes=processes, until=until, costs=costs)


def _learn_role(training: Row | None, family: str, noise: int, number: int) -> Row:
    began = time.process_time()
    training = training or trained.trained(FOLDER / "trained.jsonl", family, noise, number)
    row = whole_studies.whole_study(family, noise, number, training)
    row |= {"version": whole_studies.version(), "cpu_seconds": round(time.process_time() - began, 2)}
    append(FOLDER / "roles.jsonl", row)
    return row


def _prove(kind: str, first: int) -> Row:
    began = time.process_time()
    studies = [proofs.KINDS[kind](seed) for seed in range(first, first + PER_TASK)]
    row = {"kind": kind, "first": first, "version": proofs.version(), "studies": studies}
    row["cpu_seconds"] = round(time.process_time() - began, 2)
    append(FOLDER / "proofs.jsonl", row)
    return row


if __name__ == "__main__":
    main()
