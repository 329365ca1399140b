# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How often the proof errs: simulated studies without any effect (A/A), and studies with a real improvement.

An A/A study sees noise alone: random candidates of eight parameters on 1, 2 or 4 hosts are recommended, raced and
proved by the trainer's code. The noise is drawn at random: a standard deviation of 0.5 to 10 %, varying by up to three
times across the space, drift of up to twice the noise over 100 evaluations, and an outlier in 50 measurements. The
verdict must not be `improved`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.race import race
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.sequential_test import prove
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Trial
from scipy import stats

from . import tables
from .measuring import Bench, Host, Noise
from .searches import ROOMS, code, with_imports
from .shapes import Effect
from .surfaces import Surface
from .work import Row

TRAINING = 40
HOSTS = (1, 2, 4)


def study(pairs: int) -> Study:
    kinds: list[dict[str, Any]] = [
        *({"param": f"net.synthetic.log{at}", "min": 16, "max": 65536, "log": True} for at in range(3)),
        *({"param": f"net.synthetic.linear{at}", "min": 0, "max": 100} for at in range(2)),
        *({"param": f"net.synthetic.choice{at}", "choices": ["reno", "cubic", "bbr"]} for at in range(2)),
        {"param": "net.synthetic.bool", "type": "bool"},
    ]
    return Study.model_validate(
        {
            "workload_name": "aa",
            "reward_metric": "throughput",
            "benchmark_command": "true",
            "action_space": kinds,
            "training_config": {"total_timesteps": TRAINING},
            "verification": {"pairs": pairs},
        }
    )


def level(space: Any, gain: float) -> Surface:
    """All candidates are better than the default by `gain`, a log ratio."""
    default = space.decode(np.full(space.size, 0.3))
    at = space.encode(default)
    effect = Effect("level", gain, tuple(range(space.size)), lambda x: (x != at).any(axis=1).astype(float))
    return Surface("level", space, default, [effect], [], None, np.zeros(space.size), optimum=gain or 1.0)


def aa_study(seed: int) -> Row:
    """One complete A/A study."""
    random = np.random.default_rng([seed, 5])
    sigma = math.exp(random.uniform(math.log(0.005), math.log(0.1)))
    noise = Noise(sigma, uneven=random.uniform(0, 1), drift=random.uniform(0, 2) * sigma, tails=0.02)
    wanted = study(pairs=40)
    surface = level(wanted.space, 0.0)
    names, bench = _bench(surface, HOSTS[seed % len(HOSTS)], noise, seed)
    bench([wanted.space.decode(random.random(wanted.space.size)) for dummy in range(TRAINING)])
    candidates = recommend(wanted.space, bench.evaluations, wanted.verification.candidates)
    winner = race(candidates, names, _measure(bench), seed=seed)[0]
    if winner is None:
        raise RuntimeError("no candidate won the race, although none can fail")
    proof = prove(winner, names, _measure(bench), wanted, seed=seed)
    return {"kind": "aa", "seed": seed, "hosts": len(names), "improved": proof.improved, "pairs": len(proof.evidence)}


def gain_study(seed: int, gain: float = 0.05, sigma: float = 0.03) -> Row:
    """The proof of a candidate that is better by `gain`."""
    wanted = study(pairs=40)
    surface = level(wanted.space, math.log1p(gain))
    names, bench = _bench(surface, HOSTS[seed % len(HOSTS)], Noise(sigma), seed)
    proof = prove(wanted.space.decode(np.full(wanted.space.size, 0.7)), names, _measure(bench), wanted, seed=seed)
    return {"kind": "gain", "seed": seed, "hosts": len(names), "improved": proof.improved, "pairs": len(proof.evidence)}


KINDS = {"aa": aa_study, "gain": gain_study}


@cache
def version() -> str:
    """Changes with the code that recommends, races and proves."""
    return code(
        *(
            found
            for name in ("_learner/recommendation", "_proof/race", "_proof/sequential_test")
            for found in with_imports(ROOMS / f"{name}.py")
        )
    )


def _bench(surface: Surface, hosts: int, noise: Noise, seed: int) -> tuple[list[str], Bench]:
    fleet = [Host(f"bench{at + 1}", {0.0: surface}, kind=0.0) for at in range(hosts)]
    return [host.name for host in fleet], Bench(fleet, noise, seed)


def _measure(bench: Bench) -> Callable[[Sequence[Trial]], list[Trial]]:
    return lambda jobs: [
        bench.measure(None if job.original else job.requested, job.phase, job.host or None) for job in jobs
    ]


def table(rows: Sequence[Row]) -> str:
    lines = []
    for kind, words in (("aa", "no effect (A/A)"), ("gain", "5 % improvement, 3 % noise")):
        for hosts in (None, *HOSTS):
            own = [row for row in rows if row["kind"] == kind and hosts in (None, row["hosts"])]
            if own:
                found = sum(row["improved"] for row in own)
                interval = stats.binomtest(found, len(own)).proportion_ci()
                pairs = [row["pairs"] for row in own]
                lines.append(
                    [
                        words,
                        "all" if hosts is None else str(hosts),
                        str(len(own)),
                        f"{found / len(own):.1%} ({interval.low:.1%} to {interval.high:.1%})",
                        f"{np.median(pairs):.0f} (maximum {max(pairs)})",
                    ]
                )
    return tables.markdown(["simulated studies", "hosts", "studies", "`improved` (95 %)", "pairs, median"], lines)
