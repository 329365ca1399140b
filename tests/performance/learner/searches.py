# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One algorithm searching one surface, and what came of it: rows of a file that an interrupted run goes on with.

Two steps, for the first one takes minutes and the second one seconds: `search` keeps what was tried and measured;
`judge` recommends, races, and looks at the recommended candidate's noise-free value. Both are the same for all.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils import _trainer
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import RACE_ROUNDS
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.evaluation import Evaluation, Job
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.recommendation import recommend

from . import competitors
from .measuring import Bench, Noise, alike, evaluated
from .ours import OURS
from .surfaces import Surface, draw

RACED = 3
TRAINER = Path(next(iter(_trainer.__path__)))
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """evaluations/parameters, and the noise."""

    evaluations: int
    parameters: int
    sigma: float = 0.03

    @classmethod
    def parse(cls, text: str) -> Cell:
        """From `64/8`, or `64/8@10` with 10 % noise."""
        size, dummy, percent = text.partition("@")
        evaluations, parameters = map(int, size.split("/"))
        return cls(evaluations, parameters, float(percent or 3) / 100)

    def __str__(self) -> str:
        percent = "" if self.sigma == 0.03 else f"@{self.sigma * 100:g}"
        return f"{self.evaluations}/{self.parameters}{percent}"


ALGORITHMS = {**OURS, **competitors.COMPETITORS}
_PACKAGES = {"tpe": "optuna", "gp": "optuna", "cmaes": "optuna", "smac": "smac", "ppo-plain": "stable-baselines3"}


@cache
def version(algorithm: str) -> str:
    """Changes when the algorithm may: of ours with the code that learns, of the others with package and adapter."""
    if algorithm in OURS:
        return _code(*sorted({*TRAINER.glob("learn*.py"), *TRAINER.glob("surrogate*.py"), *_LEARNER}))
    package = next((name for prefix, name in _PACKAGES.items() if algorithm.startswith(prefix)), None)
    adapter = _code(Path(competitors.__file__))
    return f"{package} {importlib.metadata.version(package)} {adapter}" if package else adapter


@cache
def recommendation_version() -> str:
    return _code(TRAINER / "recommendation.py", *sorted(TRAINER.glob("surrogate*.py")))


_LEARNER = (TRAINER / "environment.py", TRAINER / "algorithms.py", Path(__file__).with_name("ours.py"))


def _code(*paths: Path) -> str:
    """A digest of the code, comments and the docstring of each file apart."""
    digest = hashlib.sha256()
    for path in paths:
        if path.exists():
            tree = ast.parse(path.read_text())
            digest.update("\n".join(ast.unparse(statement) for statement in tree.body[1:]).encode())
    return digest.hexdigest()[:8]


@cache
def surface_of(cell: Cell, number: int) -> tuple[Surface, str]:
    """The surface and a digest of what it is and how it is measured: rows of another one are not ours."""
    surface = draw(number, cell.parameters)
    points = np.random.default_rng(0).random((8, cell.parameters))
    bench = Bench(alike(surface), Noise(cell.sigma), seed=number)
    measured = [e.measurement.metric for e in bench([surface.space.decode(point) for point in points])]
    return surface, hashlib.sha256(
        repr((surface.default, surface.best, surface.optimum, measured)).encode()
    ).hexdigest()[:8]


def key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("algorithm", "version", "cell", "surface", "digest"))


def search(algorithm: str, cell: Cell, number: int) -> Row:
    """Run `algorithm` on surface `number`; its noise, and its own random choices, are of the same seed."""
    surface, digest = surface_of(cell, number)
    bench = Timed(alike(surface), Noise(cell.sigma), seed=number)
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
        "digest": digest,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "failed": sum(evaluation.failed for evaluation in bench.evaluations),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "tried": [
            [list((e.job.values or {}).values()), e.measurement.metric and round(e.measurement.metric, 6)]
            for e in bench.evaluations
        ],
    }


class Timed(Bench):
    """Knows how long measuring took, which is not the learner's time."""

    seconds = 0.0

    def measure(self, *arguments: Any, **named: Any) -> Evaluation:
        began = time.perf_counter()
        try:
            return super().measure(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - began


def judge(row: Row) -> Row:
    """The share that the recommended candidate closes: the best of the race, and without the race."""
    cell, number = Cell.parse(row["cell"]), int(row["surface"])
    surface = surface_of(cell, number)[0]
    candidates = recommend(surface.space, list(_evaluations(row, surface)), RACED)
    winner = race(candidates, Bench(alike(surface), Noise(cell.sigma), seed=1_000_000 + number))
    first = candidates[0] if candidates else None
    return {
        **{name: value for name, value in row.items() if name != "tried"},
        "recommendation": recommendation_version(),
        "share": surface.share(winner),
        "unraced": surface.share(first),
    }


def race(candidates: Sequence[Candidate], bench: Bench) -> Candidate | None:
    """The one with the best mean of fresh measurements, which are not part of the budget; those that fail are out."""
    means = []
    for candidate in candidates:
        performances = [bench.measure(candidate, "race").score.performance for dummy in range(RACE_ROUNDS)]
        means.append(-np.inf if None in performances else fmean(p for p in performances if p is not None))
    return candidates[int(np.argmax(means))] if means and max(means) > -np.inf else None


def _evaluations(row: Row, surface: Surface) -> Iterator[Evaluation]:
    """As they were, from the row."""
    for number, (values, metric) in enumerate(row["tried"], start=1):
        asked = dict(zip(surface.space.parameters, values, strict=True))
        yield evaluated(number, Job("train", asked, "bench1"), asked, metric, {})


def read(path: Path) -> Iterator[Row]:
    """The rows of a file; a line that was cut off when its writer ended is not one."""
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def append(path: Path, row: Row) -> None:
    """In one write, so that two processes can share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (json.dumps(row) + "\n").encode())
    finally:
        os.close(file)
