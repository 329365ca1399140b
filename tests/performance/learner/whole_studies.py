# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whole simulated studies: what ends in the role, and what that is worth.

After the training (trained.py), the trainer's own code simplifies, races, proves and ablates. The role is compared with
the candidate that would have won without simplification and ablation, by their performance without noise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.recommendation import recommend
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.ablation import ablate
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.evidence import Ablation
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.race import race
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.sequential_test import prove
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parameters import kernel_texts
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Value
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.contenders import contenders
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial
from scipy import stats

from . import tables
from .families import HELD_OUT, OF_ROLES, without_effect
from .measuring import Bench
from .searches import ROOMS, code, with_imports
from .surfaces import Surface
from .trained import HOSTS, PARAMETERS, bench_of, surface_of, trials_of
from .work import Row

NOISES = (3, 10, 20)
WORTHLESS = 0.003  # log ratio; also the smallest loss that counts
HARM = -0.01


def study_of(surface: Surface, **verification: Any) -> Study:
    space = [
        {"param": axis.parameter, "type": "bool"}
        if axis.choices == (0, 1)
        else {"param": axis.parameter, "type": "choice", "choices": list(axis.choices)}
        if axis.choices
        else {
            "param": axis.parameter,
            "type": "int",
            "min": int(axis.low),
            "max": int(axis.high),
            "log": axis.log,
            "step": int(axis.step),
        }
        for axis in surface.space.axes
    ]
    return Study.model_validate(
        {
            "workload_name": "simulated",
            "reward_metric": "metric",
            "benchmark_command": "true",
            "action_space": space,
            "constraints": [each.text for each in surface.space.constraints],
            "verification": verification,
        }
    )


def whole_study(family: str, noise: int, number: int, training: Row, **verification: Any) -> Row:
    """From the candidates of the race to the role. noise: per cent. number: as for the training."""
    surface = surface_of(family, number, PARAMETERS)
    study = study_of(surface, **verification)
    trials = list(trials_of(training, surface))
    baselines = [trial for trial in trials if trial.phase == Phase.BASELINE]
    searched = [trial for trial in trials if trial.phase == Phase.TRAIN]
    originals = {host: kernel_texts(surface.default) for host in HOSTS}
    about = {"family": family, "noise": noise, "number": number}
    full = recommend(study.space, searched, study.verification.candidates)
    measure = _measure(bench_of(surface, noise / 100, 2_000_000 + number))
    whole = race(full, HOSTS, measure, seed=number)[0]
    measure = _measure(bench_of(surface, noise / 100, 1_000_000 + number))
    raced = contenders(study, searched, baselines, {}, originals)
    winner = race(raced, HOSTS, measure, seed=number, originals=originals)[0]
    if winner is None or whole is None:
        return {**about, "improved": False, "pairs": 0}
    proof = prove(winner, HOSTS, measure, study, seed=number, originals=originals)
    about |= {"improved": proof.improved, "pairs": len(proof.evidence)}
    if not proof.improved:
        return about
    ablation = ablate(winner, proof, HOSTS, originals, measure, study, seed=number)
    role = {param: winner[param] for param in ablation.parameters("kept")}
    return about | _judged(surface, whole, winner, role, ablation)


def _judged(
    surface: Surface,
    whole: Mapping[str, Value],
    winner: Mapping[str, Value],
    role: Mapping[str, Value],
    ablation: Ablation,
) -> Row:
    def worth(values: Mapping[str, Value]) -> float:
        found = surface.performance({**surface.default, **values})
        return -1.0 if found is None else found

    default = kernel_texts(surface.default)
    idle = without_effect(surface)
    changed = {name for name, text in kernel_texts(role).items() if text != default[name]}
    alone = {name: worth(role) - worth({each: role[each] for each in role if each != name}) for name in changed}
    low, high = ablation.proof.interval or (0.0, 0.0)
    return {
        "idle": len(idle),
        "idle_in_whole": sum(kernel_texts(whole)[name] != default[name] for name in idle),
        "idle_in_winner": sum(name in idle and text != default[name] for name, text in kernel_texts(winner).items()),
        "idle_in_role": len(idle & changed),
        "values": len(changed),
        "worthless": sum(each < WORTHLESS for each in alone.values()),
        "whole": round(worth(whole), 5),
        "winner": round(worth(winner), 5),
        "role": round(worth(role), 5),
        "covered": low <= 100 * math.expm1(worth(role)) <= high,
        "contributions": _contributions(surface, winner, ablation),
        "screening": len(ablation.contrasts),
        "again": len(ablation.fewer_values.evidence) if ablation.fewer_values else 0,
        "smaller": ablation.proof is not ablation.all_values,
        "not_shown": sum(each.decision == "kept" and each.basis == "not shown" for each in ablation.contributions),
    }


def _contributions(surface: Surface, winner: Mapping[str, Value], ablation: Ablation) -> list[bool]:
    """Whether the interval of each contribution that was measured alone covers its mean over all other values."""
    measured = [each for each in ablation.contributions if each.interval and not each.confounded_with]
    names = [each.param for each in measured]
    size = 1 << len(names)
    inside = [[bool(at >> bit & 1) for bit in range(len(names))] for at in range(size)]
    values = [
        {**surface.default, **{name: winner[name] for name, there in zip(names, row, strict=True) if there}}
        for row in inside
    ]
    worth = surface.at(np.array([surface.space.encode(each) for each in values]))
    if not np.isfinite(worth).all() or not ablation.contrasts:
        return []
    table = np.array(inside)
    truth = [float(worth[table[:, at]].mean() - worth[~table[:, at]].mean()) for at in range(len(names))]
    return [
        each.interval[0] <= 100 * math.expm1(effect) <= each.interval[1]
        for each, effect in zip(measured, truth, strict=True)
        if each.interval
    ]


def _measure(bench: Bench) -> Callable[[Sequence[Trial]], list[Trial]]:
    return lambda jobs: [
        bench.measure(None if job.original else dict(job.requested), job.phase, job.host) for job in jobs
    ]


@cache
def version() -> str:
    """Changes with the code between training and role."""
    names = ("_trainer/contenders", "_proof/race", "_proof/ablation")
    return code(*sorted({found for name in names for found in with_imports(ROOMS / f"{name}.py")}), Path(__file__))


COLUMNS = [
    "noise", "surfaces", "studies", "`improved`", "idle parameters in the role", "in the best candidate", "values",
    "worth less than 0.3 %", "gain kept, median", "worst tenth", "worse than the default", "intervals that cover",
    "pairs: proof", "ablation",
]  # fmt: skip


def write(rows: Sequence[Row], path: Path) -> str:
    """Write the table's file for the documentation; returns the table."""
    lines = table(rows)
    content = {
        "command": "./dev bench-learner --roles",
        "about": "Whole simulated studies: 64 evaluations of 8 parameters, 2 hosts. "
        f"{HELD_OUT} was held out for race and ablation.",
        "columns": COLUMNS,
        "rows": lines,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return tables.markdown(COLUMNS, lines)


def table(rows: Sequence[Row]) -> list[list[str]]:
    lines = []
    for noise in NOISES:
        own = [row for row in rows if row["noise"] == noise]
        groups = {
            "all": own,
            f"all but {HELD_OUT}": [row for row in own if row["family"] != HELD_OUT],
            **{family: [row for row in own if row["family"] == family] for family in OF_ROLES},
        }
        lines += [line(f"{noise} %", name, found) for name, found in groups.items() if found]
    return lines


def line(noise: str, name: str, rows: Sequence[Row]) -> list[str]:
    roles = [row for row in rows if row["improved"]]
    counts = [noise, name, str(len(rows)), str(len(roles))]
    if not roles:
        return counts + ["-"] * (len(COLUMNS) - len(counts))
    idle, values = sum(row["idle"] for row in roles), sum(row["values"] for row in roles)
    kept = [row["role"] / row["whole"] for row in roles if row["whole"] > 0]
    harmful, covered = sum(row["role"] < HARM for row in roles), sum(row["covered"] for row in roles)
    return [
        *counts,
        _share(sum(row["idle_in_role"] for row in roles), idle),
        f"{sum(row['idle_in_whole'] for row in roles) / idle:.0%}",
        f"{values / len(roles):.1f}",
        f"{sum(row['worthless'] for row in roles) / max(values, 1):.0%}",
        f"{np.median(kept):.0%}",
        f"{np.quantile(kept, 0.1):.0%}",
        f"{harmful / len(roles):.0%}",
        f"{covered / len(roles):.0%}",
        f"{np.median([row['pairs'] for row in roles]):.0f}",
        f"{np.median([row['screening'] + row['again'] for row in roles]):.0f}",
    ]


def _share(found: int, of: int) -> str:
    interval = stats.binomtest(found, of).proportion_ci()
    return f"{found / of:.1%} ({interval.low:.0%} to {interval.high:.0%})"
