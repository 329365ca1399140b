# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs one algorithm on one surface, and evaluates the result; rows are kept in a file, to continue interrupted runs.

`search` takes minutes and records the trials. `judge` takes seconds: it recommends candidates, races them, and looks up
the winner's noise-free performance. Both treat all algorithms alike.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from ansible_collections.autotune.kernel.plugins import plugin_utils
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.acquisition_policy import WEIGHTS
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.race import race
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial

from . import competitors, ours
from .families import FAMILIES, surface_of
from .measuring import Bench, Host, Noise, alike, contexts_of, evaluated, fleet, together
from .ours import OURS
from .surfaces import draw, related
from .work import Row

RACED = 3
ROOMS = Path(next(iter(plugin_utils.__path__)))


@dataclass(frozen=True)
class Cell:
    """Evaluations, parameters and noise of a comparison, and its kind:

    | kind | surface |
    |---|---|
    | plain | drawn from the seed |
    | cold | the second of two related surfaces |
    | warm | the same; 64 evaluations of the first one by the same algorithm are known |
    | hosts | four hosts that differ |
    | loads | four hosts that differ, under a load that changes |
    | a family | of that family (families.py) |
    """

    evaluations: int
    parameters: int
    sigma: float = 0.03
    kind: str = "plain"

    @classmethod
    def parse(cls, text: str) -> Cell:
        """From `64/8`, `64/8@10` with 10 % noise, `warm:32/8`, or `ratio:64/8`."""
        kind, dummy, size = text.rpartition(":")
        size, dummy, percent = size.partition("@")
        evaluations, parameters = map(int, size.split("/"))
        return cls(evaluations, parameters, float(percent or 3) / 100, kind or "plain")

    def __str__(self) -> str:
        kind = "" if self.kind == "plain" else f"{self.kind}:"
        percent = "" if self.sigma == 0.03 else f"@{self.sigma * 100:g}"
        return f"{kind}{self.evaluations}/{self.parameters}{percent}"

    @property
    def of_fleet(self) -> bool:
        return self.kind in ("hosts", "loads")


ALGORITHMS = {**OURS, **competitors.COMPETITORS}
_PACKAGES = {"tpe": "optuna", "gp": "optuna", "cmaes": "optuna", "smac": "smac", "ppo-plain": "stable-baselines3"}


@cache
def version(algorithm: str) -> str:
    """Changes with our learner's code, or with the package and adapter of another algorithm."""
    if algorithm in OURS:
        files = [*with_imports(ROOMS / "_learner/learner.py"), Path(ours.__file__)]
        return f"{code(*files)} {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8]}"
    package = next((name for prefix, name in _PACKAGES.items() if algorithm.startswith(prefix)), None)
    adapter = code(Path(competitors.__file__))
    return f"{package} {importlib.metadata.version(package)} {adapter}" if package else adapter


@cache
def recommendation_version() -> str:
    return code(*with_imports(ROOMS / "_learner/recommendation.py"))


def with_imports(path: Path) -> list[Path]:
    """A module of plugin_utils and all that it imports from there, directly or not."""
    found, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path.exists() and path not in found:
            found.add(path)
            statements = ast.walk(ast.parse(path.read_text()))
            nearby = [s for s in statements if isinstance(s, ast.ImportFrom) and s.level and s.module]
            waiting += [path.parents[s.level - 1] / f"{s.module.replace('.', '/')}.py" for s in nearby if s.module]
    return sorted(found)


def code(*paths: Path) -> str:
    """A digest of the code, without comments and module docstrings."""
    digest = hashlib.sha256()
    for path in paths:
        body = ast.parse(path.read_text()).body[1:]
        digest.update("\n".join(ast.unparse(statement) for statement in body).encode())
    return digest.hexdigest()[:8]


@cache
def hosts_of(cell: Cell, number: int) -> list[Host]:
    if cell.of_fleet:
        return fleet(number, cell.parameters, loads=(-0.5, 0.0, 0.5) if cell.kind == "loads" else (0.0,))
    if cell.kind == "plain":
        return alike(draw(number, cell.parameters))
    if cell.kind in FAMILIES:
        return alike(surface_of(cell.kind, number, cell.parameters))
    return alike(related(number, cell.parameters)[1])


@cache
def digest(cell: Cell, number: int) -> str:
    """A digest of the surface and its noise, which invalidates rows of an earlier definition."""
    bench = Bench(hosts_of(cell, number), Noise(cell.sigma), seed=number)
    points = np.random.default_rng(0).random((8, cell.parameters))
    measured = [e.metric for e in bench([bench.space.decode(point) for point in points])]
    surface = bench.surface
    return hashlib.sha256(repr((surface.default, surface.best, surface.optimum, measured)).encode()).hexdigest()[:8]


def key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("algorithm", "version", "cell", "surface", "digest"))


def search(algorithm: str, cell: Cell, number: int) -> Row:
    """Run `algorithm` on surface `number`, which is also the seed of the noise and of the algorithm."""
    bench = Timed(hosts_of(cell, number), Noise(cell.sigma), seed=number)
    if cell.kind == "warm":
        earlier = Bench(alike(related(number, cell.parameters)[0]), Noise(cell.sigma), seed=number)
        ALGORITHMS[algorithm](earlier, 64, number)
        bench.history = earlier.evaluations
    began, cpu = time.perf_counter(), time.process_time()
    ALGORITHMS[algorithm](bench, cell.evaluations, number)
    seconds = time.perf_counter() - began - bench.seconds
    if len(bench.evaluations) != cell.evaluations:
        raise RuntimeError(f"{algorithm} took {len(bench.evaluations)} evaluations, not {cell.evaluations}")
    return {
        "algorithm": algorithm,
        "version": version(algorithm),
        "cell": str(cell),
        "surface": number,
        "digest": digest(cell, number),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "failed": sum(evaluation.state == State.FAILED for evaluation in bench.evaluations),
        "late": fmean(bench.shares[-cell.evaluations // 4 :]),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "tried": [[e.host, list(e.requested.values()), e.metric and round(e.metric, 6)] for e in bench.evaluations],
    }


class Timed(Bench):
    """Times the measurements, which do not count as the learner's time."""

    seconds = 0.0

    def measure(self, *arguments: Any, **named: Any) -> Trial:
        began = time.perf_counter()
        try:
            return super().measure(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - began


def judge(row: Row) -> Row:
    """Add the share of the gap that the recommended candidate closes, with a race and without.

    until_90: the number of the first trial that closed 90 % of the gap, None if none did. Hosts that differ get one
    candidate for all, which is compared with the best compromise.
    """
    cell, number = Cell.parse(row["cell"]), int(row["surface"])
    hosts = hosts_of(cell, number)
    evaluations = list(_evaluations(row, hosts[0]))
    surface = together(hosts) if cell.of_fleet else next(iter(hosts[0].surfaces.values()))
    candidates = recommend(surface.space, evaluations, RACED, contexts_of(hosts))
    winner = _raced(candidates, Bench(hosts, Noise(cell.sigma), seed=1_000_000 + number))
    share, unraced = surface.share(winner), surface.share(candidates[0] if candidates else None)
    about = {name: value for name, value in row.items() if name != "tried"}
    about |= {"recommendation": recommendation_version(), "share": share, "unraced": unraced}
    found = (number for number, trial in enumerate(evaluations, start=1) if surface.share(trial.requested) >= 0.9)
    return {**about, "until_90": next(found, None)}


def _raced(candidates: Sequence[Candidate], bench: Bench) -> Candidate | None:
    """The winner of the trainer's race, whose measurements are not part of the budget."""
    if not candidates:
        return None

    def measure(jobs: Sequence[Trial]) -> list[Trial]:
        return [bench.measure(None if job.original else job.requested, job.phase, job.host or None) for job in jobs]

    return race(candidates, [host.name for host in bench.hosts], measure, seed=bench.seed)[0]


def _evaluations(row: Row, first: Host) -> Iterator[Trial]:
    """The trials that the row records."""
    parameters = next(iter(first.surfaces.values())).space.parameters
    for number, (host, values, metric) in enumerate(row["tried"], start=1):
        asked = dict(zip(parameters, values, strict=True))
        yield evaluated(number, Trial.pending(Phase.TRAIN, asked, host), asked, metric, {})
