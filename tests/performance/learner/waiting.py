# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long hosts wait for the learner: each evaluation is a real sleep, shorter than any benchmark."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.learner import search
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.protocols import Proposal, slots_for
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial

from . import searches, tables
from .measuring import Bench, Noise, alike
from .surfaces import draw
from .work import Row

PARAMETERS = 8
SURFACE = 1000


class Case(NamedTuple):
    hosts: int
    evaluations: int
    seconds: float  # per evaluation


CASES = [Case(1, 64, 3.0), Case(8, 200, 3.0)]


class Hosts:
    """An `Evaluator` whose hosts are threads. idle: seconds all hosts have waited between evaluations."""

    def __init__(self, bench: Bench, case: Case) -> None:
        self._bench, self._case = bench, case
        self._measuring = threading.Lock()
        self._candidates: queue.Queue[Candidate] = queue.Queue()
        self._ended: queue.Queue[Trial] = queue.Queue()
        self.idle = 0.0
        for dummy in range(case.hosts):
            threading.Thread(target=self._work, daemon=True).start()

    @property
    def slots(self) -> int:
        return slots_for(self._case.hosts)

    def _work(self) -> None:
        free = None
        while True:
            candidate = self._candidates.get()
            waited = 0.0 if free is None else time.monotonic() - free
            time.sleep(self._case.seconds)
            free = time.monotonic()
            with self._measuring:
                self.idle += waited
                evaluation = self._bench.measure(candidate)
            self._ended.put(evaluation)

    def submit(self, proposals: Sequence[Proposal]) -> None:
        for proposal in proposals:
            self._candidates.put(proposal.candidate)

    def collect(self) -> list[Trial]:
        found = [self._ended.get()]
        while not self._ended.empty():
            found.append(self._ended.get())
        return found


def version() -> str:
    """Changes with the learner and with the cases."""
    return f"{searches.version('ppo')} {CASES}"


def measure(at: int) -> Row:
    """The fraction of their time that the hosts of case `at` waited, up to the end of the search."""
    case = CASES[at]
    bench = Bench(alike(draw(SURFACE, PARAMETERS)), Noise(0.03), seed=1)
    hosts, began, cpu = Hosts(bench, case), time.monotonic(), time.process_time()
    search(bench.space, hosts, budget=case.evaluations, seed=1, original=bench.surface.default)
    lasted = time.monotonic() - began
    spent = round(time.process_time() - cpu, 2)
    return {"version": version(), "case": at, "waiting": hosts.idle / (case.hosts * lasted), "cpu_seconds": spent}


def table(rows: Sequence[Row]) -> str:
    head = ["hosts", "evaluations", "seconds per evaluation", "time hosts wait for the learner"]
    by_case = {row["case"]: row["waiting"] for row in rows}
    lines = [
        [str(case.hosts), str(case.evaluations), f"{case.seconds:g}", f"{by_case[at]:.1%}"]
        for at, case in enumerate(CASES)
        if at in by_case
    ]
    return tables.markdown(head, lines)
