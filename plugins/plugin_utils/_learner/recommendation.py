# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which of the tried candidates are the best, judged from all trials of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from .._study.parameters import kernel_text
from .._study.space import Candidate, SearchSpace
from .._trial.trial import State, Trial

MIN_TRIALS = 6  # for a surrogate; with fewer, the measured rewards decide


def recommend(
    space: SearchSpace,
    trials: Sequence[Trial],
    count: int,
    contexts: Mapping[str, Sequence[float]] | None = None,
) -> list[Candidate]:
    """At most `count` distinct candidates that never failed, the best first.

    The best of many noisy measurements is usually a lucky one. Candidates are therefore ranked by what a surrogate
    predicts for them on all hosts; it also takes their neighbours into account, and on which hosts each was tried.
    contexts: as for `search`. The result depends on the trials alone, whichever algorithm proposed them.
    """
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        key = tuple(kernel_text(trial.requested[parameter]) for parameter in space.parameters)
        groups.setdefault(key, []).append(trial)
    succeeded = [group for group in groups.values() if not any(trial.state == State.FAILED for trial in group)]
    rewards = [fmean(trial.score.reward for trial in group) for group in succeeded]
    if sum(trial.state != State.FAILED for trial in trials) >= MIN_TRIALS and np.ptp(rewards or [0.0]) > 0:
        from .observation import HostContexts
        from .surrogate import RewardModel  # imports torch

        model = RewardModel(space, trials, HostContexts(contexts or {}))
        rewards = list(model.of_tried([group[0] for group in succeeded]))
    best = sorted(range(len(succeeded)), key=lambda at: rewards[at], reverse=True)
    return [dict(succeeded[at][0].requested) for at in best[:count]]
