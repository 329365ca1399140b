# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The training of a simulated study: baselines of two hosts, then 64 evaluations of 8 parameters by our learner."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.components import Components
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial

from . import ours
from .families import surface_of
from .measuring import Bench, Host, Noise, evaluated
from .searches import ROOMS, code, with_imports
from .surfaces import Surface
from .work import Row, append, read

PARAMETERS, EVALUATIONS, BASELINES = 8, 64, 3
HOSTS = ("bench1", "bench2")

surface_of = cache(surface_of)


def bench_of(surface: Surface, noise: float, seed: int) -> Bench:
    return Bench([Host(name, {0.0: surface}, kind=0.0) for name in HOSTS], Noise(noise), seed)


def train(family: str, noise: int, number: int) -> Row:
    """noise: per cent. number: of the surface, and the seed of noise and learner."""
    bench = bench_of(surface_of(family, number, PARAMETERS), noise / 100, number)
    baselines = [bench.measure(None, Phase.BASELINE, host) for host in HOSTS for dummy in range(BASELINES)]
    cpu = time.process_time()
    ours.search(bench, EVALUATIONS, number, components=Components(), known=baselines)
    seconds = round(time.process_time() - cpu, 2)
    tried = [[e.phase, e.host, list(e.requested.values()), e.metric and round(e.metric, 5)] for e in bench.evaluations]
    return {"key": key(family, noise, number), "cpu_seconds": seconds, "tried": tried}


def trials_of(row: Row, surface: Surface) -> Iterator[Trial]:
    """The baselines and the trials of training that the row records."""
    for number, (phase, host, values, metric) in enumerate(row["tried"], start=1):
        original = phase == Phase.BASELINE
        asked = surface.default if original else dict(zip(surface.space.parameters, values, strict=True))
        pending = Trial.pending(Phase(phase), None if original else asked, host)
        yield evaluated(number, pending, asked, metric, {})


def known(path: Path) -> dict[str, Row]:
    return {row["key"]: row for row in read(path)}


def trained(path: Path, family: str, noise: int, number: int) -> Row:
    """Train, and keep the row."""
    row = train(family, noise, number)
    append(path, row)
    return row


@cache
def version() -> str:
    """Changes with the learner's room."""
    return code(*(path for path in with_imports(ROOMS / "_learner/learner.py") if path.parent.name == "_learner"))


def key(family: str, noise: int, number: int) -> str:
    """Changes with the learner and with the surface."""
    surface = surface_of(family, number, PARAMETERS)
    points = np.random.default_rng(0).random((8, PARAMETERS))
    values = [surface.performance(surface.space.decode(point)) for point in points]
    digest = hashlib.sha256(repr((surface.default, surface.best, values)).encode()).hexdigest()[:8]
    return f"{family} {noise} {number} {version()} {digest}"
