# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How good is the learner? All algorithms on the same surfaces, under the same noise: `./dev bench-learner [--full]`.

For trying something out, on surfaces that the table is not made of:

    python tests/performance/learner/bench_learner.py --cell 64/8 --algorithms ppo,tpe,gp --surfaces 8

What was searched once is kept under build/bench-learner and not searched again, unless the code that proposes changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before NumPy and torch come in, here and below
from ansible_collections.autotune.kernel.tests.performance.learner import searches, tables  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner.searches import ALGORITHMS, Cell, Row  # noqa: E402

FOLDER = ROOT / "build/bench-learner"
CELLS = ["64/8", "32/4", "200/8", "200/16", "64/8@1", "64/8@10"]
RIVALS = ["random", "tpe", "cmaes", "gp", "smac-forest", "ppo-plain"]
# The table's surfaces are others than those which the learner was developed on.
DEVELOPMENT, TABLE = 0, 100


class Task(NamedTuple):
    algorithm: str
    cell: str
    surface: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", action="append", help=f"evaluations/parameters[@noise per cent], among {CELLS}")
    parser.add_argument("--algorithms", help=f"comma-separated, among {', '.join(ALGORITHMS)}")
    parser.add_argument("--surfaces", type=int, default=24, help="surfaces a cell (%(default)s)")
    parser.add_argument("--first", type=int, default=DEVELOPMENT, help="the first surface's seed (%(default)s)")
    parser.add_argument("--minutes", type=float, help="begin nothing that would end later than this")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    cells = arguments.cell or CELLS[:1]
    algorithms = arguments.algorithms.split(",") if arguments.algorithms else [*searches.OURS, *RIVALS]
    unknown = [name for name in algorithms if name not in ALGORITHMS]
    if unknown:
        parser.error(f"no such algorithm: {', '.join(unknown)}; there are {', '.join(ALGORITHMS)}")
    numbers = range(arguments.first, arguments.first + arguments.surfaces)
    # Surface by surface, so that an early end leaves every algorithm with the same ones.
    tasks = [Task(name, cell, number) for number in numbers for cell in cells for name in algorithms]
    rows = run(tasks, processes=arguments.processes, minutes=arguments.minutes)
    for cell in cells:
        print(f"\n{title(Cell.parse(cell))}\n\n{table([row for row in rows if row['cell'] == cell], algorithms)}")


def run(tasks: Sequence[Task], *, processes: int, minutes: float | None = None) -> list[Row]:
    """The judged rows of all tasks, from the file or anew."""
    searched = {searches.key(row): row for row in searches.read(FOLDER / "searches.jsonl")}
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in searched.values():
        seconds[row["algorithm"], row["cell"]].append(row["cpu_seconds"])
    judged = {(*searches.key(row), row["recommendation"]): row for row in searches.read(FOLDER / "judged.jsonl")}
    began, found = time.monotonic(), []
    waiting = list(tasks)
    running: dict[Future[Row], Task] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        while waiting or running:
            while waiting and len(running) < processes:
                task = waiting.pop(0)
                known = _key(task)
                if row := judged.get((*known, searches.recommendation_version())):
                    found.append(row)
                    continue
                expected = median(seconds[task.algorithm, task.cell] or [0.0])
                if minutes and known not in searched and time.monotonic() - began + expected > minutes * 60:
                    continue
                running[pool.submit(_work, task, searched.get(known))] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                task = running.pop(future)
                row = future.result()
                seconds[task.algorithm, task.cell].append(row["cpu_seconds"])
                found.append(row)
                left = sum(median(seconds[t.algorithm, t.cell] or [0.0]) for t in waiting if _key(t) not in searched)
                _progress(len(found), len(tasks), task, row, left / processes)
    return found


def _work(task: Task, searched: Row | None) -> Row:
    """In a process of its own: search, unless that was done before, and judge. Kept at once."""
    if searched is None:
        searched = searches.search(task.algorithm, Cell.parse(task.cell), task.surface)
        searches.append(FOLDER / "searches.jsonl", searched)
    row = searches.judge(searched)
    searches.append(FOLDER / "judged.jsonl", row)
    return row


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _key(task: Task) -> tuple[str, ...]:
    digest = searches.digest(Cell.parse(task.cell), task.surface)
    return (task.algorithm, searches.version(task.algorithm), task.cell, str(task.surface), digest)


def _progress(done: int, of: int, task: Task, row: Row, left: float) -> None:
    print(
        f"bench-learner: {done}/{of}, {left / 60:.0f} min left; {task.algorithm} {task.cell} surface {task.surface}: "
        f"{row['share']:.2f} in {row['cpu_seconds']:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def title(cell: Cell) -> str:
    return f"**{cell.evaluations} evaluations of {cell.parameters} parameters, {cell.sigma:.0%} noise**"


def table(rows: Sequence[Row], algorithms: Sequence[str]) -> str:
    """One cell: each algorithm's shares, and how it differs from ours on the surfaces that both were on."""
    shares: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        shares[row["algorithm"]][row["surface"]] = row["share"]
    lines = []
    for name in algorithms:
        own = [row for row in rows if row["algorithm"] == name]
        if not own:
            continue
        values = [row["share"] for row in own]
        gap = tables.difference(shares["ppo"], shares[name]) if name != "ppo" else None
        lines.append(
            [
                name,
                tables.rounded(median(values)),
                tables.rounded(tables.quartile(values)),
                tables.rounded(min(values)),
                f"{gap.median:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}), {gap.surfaces}" if gap else "",
                f"{median(row['unraced'] for row in own):.2f}",
                f"{median(row['failed'] for row in own):.0f}",
                f"{median(row['cpu_seconds'] for row in own):.1f}",
                str(len(own)),
            ]
        )
    head = [
        "algorithm",
        "median",
        "lower quartile",
        "least",
        "minus ours (95 %), surfaces",
        "without race",
        "failed",
        "seconds",
        "surfaces",
    ]
    return tables.markdown(head, lines)


if __name__ == "__main__":
    main()
