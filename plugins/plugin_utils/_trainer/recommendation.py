# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which of the candidates tried are the best, as far as all measurements of training can say."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from .._study.parameters import kernel_text
from .._study.space import Candidate, SearchSpace
from .evaluation import Evaluation


def recommend(space: SearchSpace, evaluations: Sequence[Evaluation], count: int) -> list[Candidate]:
    """At most `count` candidates, best first, no two alike, among those that were tried and never failed.

    Depends on nothing but the evaluations, whichever algorithm proposed them.
    """
    rewards: dict[tuple[str, ...], list[Evaluation]] = {}
    for evaluation in evaluations:
        values = evaluation.job.values or {}
        key = tuple(kernel_text(values[parameter]) for parameter in space.parameters)
        rewards.setdefault(key, []).append(evaluation)
    sound = [group for group in rewards.values() if not any(evaluation.failed for evaluation in group)]
    sound.sort(key=lambda group: fmean(evaluation.score.reward for evaluation in group), reverse=True)
    return [dict(group[0].job.values or {}) for group in sound[:count]]
