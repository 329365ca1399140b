# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Evaluations of other studies, as a new one can learn from them.

What is carried over is a candidate's values by parameter, and its performance: the log ratio to the baseline of the
host that measured it, so that hosts and scales may differ. A parameter that the other study did not tune was at that
host's own value, which nobody wrote down: the new host's own value stands for it. A candidate that the new search
space does not have (a number beyond its range, an unknown choice, against its constraints) is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from pydantic import ValidationError

from .._store.store import trial_of
from .._store.tables import HostRow, StudyRow, TrialRow
from .._study.compatibility import is_same_search
from .._study.space import Axis, Candidate, SearchSpace, Value, exact_number
from .._study.study import Study
from .._trial.reward import score
from .._trial.stability import usual_parts
from .._trial.trial import Phase, Trial

Tell = Callable[[str], None]
# A share of an axis: farther from where it was, a candidate is another one.
_NEAR = 0.02
# Of one study: the latest, which are nearer to the best. More would make the learner slow, and not wiser.
_MOST = 300
_PHASES = (Phase.TRAIN, Phase.RACE, Phase.VERIFY, Phase.ABLATE)


def earlier_studies(rows: Sequence[StudyRow], study: Study, study_id: int, tell: Tell) -> list[StudyRow]:
    """Those that the study's `warm_start` names, the oldest first, without those that measured something else."""
    found: dict[int, StudyRow] = {}
    for wanted in study.warm_start:
        named = [row for row in rows if row.id < study_id and str(wanted) in (str(row.id), row.workload_name)]
        if not named:
            tell(f"warm_start: this store has no study {wanted}")
        for row in named:
            if reason := _differs(row, study):
                tell(f"warm_start: study {row.id} ({row.workload_name}) is not used: {reason}")
            else:
                found[row.id] = row
    return [found[number] for number in sorted(found)]


def _differs(row: StudyRow, study: Study) -> str | None:
    other = _study_of(row)
    if other is None:
        return "it is of a version that this one cannot read"
    for name in ("reward_metric", "direction", "objectives"):
        if getattr(other, name) != getattr(study, name):
            return f"its {name} is another"
    if not set(other.space.parameters) & set(study.space.parameters):
        return "it tuned none of these parameters"
    return None


def is_shared(row: StudyRow, study: Study, started: datetime) -> bool:
    """Whether it is the same study, run elsewhere at the same time, and willing to share."""
    other = _study_of(row) if row.workload_name == study.workload_name else None
    at_once = row.finished is None or row.finished > started
    return bool(other and at_once and other.share and is_same_search(other, study))


def _study_of(row: StudyRow) -> Study | None:
    try:
        return Study.model_validate(row.study)
    except ValidationError:
        return None


def translated(
    study: Study,
    row: StudyRow,
    hosts: Sequence[HostRow],
    evaluations: Sequence[TrialRow],
    own: Mapping[str, Value],
    tell: Tell,
) -> list[Trial]:
    """The evaluations of candidates in study `row`, as candidates of this one; `tell` hears how many, and of others."""
    names = {host.id: f"{host.name} of study {row.id}" for host in hosts}
    known = [trial_of(one, names[one.host_id]) for one in evaluations]
    usual = _usual_by_host(known)
    found: list[Trial] = []
    beyond: Counter[str] = Counter()
    for evaluation in known:
        if evaluation.original or evaluation.phase not in _PHASES:
            continue
        values = {**evaluation.requested, **evaluation.applied}
        candidate, lacking = in_space(study.space, values, own)
        beyond.update(lacking)
        if candidate is not None:
            found.append(_carried_over(study, evaluation, candidate, usual.get(evaluation.host, {})))
    if beyond:
        left_out = ", ".join(f"{name} ({count} times)" for name, count in beyond.most_common())
        tell(f"of study {row.id}, evaluations are left out whose values this search space does not have: {left_out}")
    tell(f"learns from {len(found[-_MOST:])} evaluations of study {row.id} ({row.workload_name})")
    return found[-_MOST:]


def _usual_by_host(evaluations: Sequence[Trial]) -> dict[str, dict[str, float]]:
    """How steady each host was with its own values (see stability.py)."""
    seen: dict[str, list[Mapping[str, float]]] = {}
    for evaluation in evaluations:
        if evaluation.original:
            seen.setdefault(evaluation.host, []).append(evaluation.score.stability_parts)
    return {host: usual_parts(parts) for host, parts in seen.items()}


def _carried_over(study: Study, trial: Trial, candidate: Candidate, usual: Mapping[str, float]) -> Trial:
    noise = trial.score.noise
    scored = replace(
        score(trial, trial.score.performance, study.reward, usual),
        noise=noise,
        uncertainty=study.reward.performance_share * (noise or 0.0),
    )
    return replace(trial, phase=Phase.TRAIN, requested=candidate, applied={}, pair=None, score=scored)


def in_space(
    space: SearchSpace, values: Mapping[str, Value], own: Mapping[str, Value]
) -> tuple[Candidate | None, list[str]]:
    """The candidate with these values, or the parameters for which there is none.

    A parameter that `values` does not have is at its value in `own`, or as near to that as the search space gets.
    """
    axes = [axis for axis in space.axes if axis.parameter in values]
    beyond = [axis.parameter for axis in axes if not _has(axis, str(values[axis.parameter]))]
    if beyond:
        return None, list(dict.fromkeys(beyond))
    point = space.encode({**own, **values})
    candidate = space.decode(point)
    nearest = np.array([axis.encode(axis.decode(unit)) for axis, unit in zip(space.axes, point, strict=True)])
    moved = np.abs(space.encode(candidate) - nearest) > _NEAR  # so that the constraints hold
    if moved.any():
        return None, list(dict.fromkeys(axis.parameter for axis, far in zip(space.axes, moved, strict=True) if far))
    return candidate, []


def _has(axis: Axis, text: str) -> bool:
    if axis.choices:
        return " ".join(text.split()) in map(str, axis.choices)
    try:
        return axis.low <= exact_number(text.split()[axis.element]) <= axis.high
    except (IndexError, ValueError):
        return False
