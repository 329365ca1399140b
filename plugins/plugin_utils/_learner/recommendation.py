# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which of the candidates tried are the best, as far as all measurements of training can say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from .._study.parameters import kernel_text
from .._study.space import Candidate, SearchSpace
from .._trial.trial import State, Trial

# With fewer measurements there is nothing that one could tell of another.
_FEWEST = 6


def recommend(
    space: SearchSpace,
    evaluations: Sequence[Trial],
    count: int,
    contexts: Mapping[str, Sequence[float]] | None = None,
) -> list[Candidate]:
    """At most `count` candidates, best first, no two alike, among those that were tried and never failed.

    The best of many noisy measurements is mostly the luckiest, so candidates are ranked by what a surrogate expects of
    them, which has seen their neighbours, too, on all hosts: one that had an easy host, or was on the only one where it
    works, is not the best for that. contexts: by host, numbers that tell it from others, as for `search`. Depends on
    nothing but the evaluations, whichever algorithm proposed.
    """
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for evaluation in evaluations:
        values = evaluation.requested
        key = tuple(kernel_text(values[parameter]) for parameter in space.parameters)
        groups.setdefault(key, []).append(evaluation)
    sound = [group for group in groups.values() if not any(evaluation.state == State.FAILED for evaluation in group)]
    worked = [evaluation for evaluation in evaluations if evaluation.state == State.COMPLETE]
    means = [fmean(evaluation.score.reward for evaluation in group) for group in sound]
    if len(worked) >= _FEWEST and np.ptp(means or [0.0]) > 0:
        from .environment import Contexts
        from .surrogate import expected_rewards  # torch comes with it

        means = expected_rewards(space, evaluations, [group[0] for group in sound], Contexts(contexts or {}))
    best = sorted(range(len(sound)), key=lambda at: means[at], reverse=True)
    return [dict(sound[at][0].requested) for at in best[:count]]
