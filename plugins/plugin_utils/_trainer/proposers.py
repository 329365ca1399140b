# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Who proposed a learned value, from the study's training trials."""

from __future__ import annotations

from collections.abc import Sequence

from .._study.parameters import kernel_text
from .._study.presets import EXPERT, EXPERT_SETTINGS
from .._study.space import Value
from .._trial.trial import Trial


def proposed_by(parameter: str, value: Value, trained: Sequence[Trial]) -> str:
    """In words, with the first trial that had the value; an expert setting comes before all others.

    A value that no training trial had was rounded after the training, perhaps to that of an expert setting. Empty for
    trials of unknown origin.
    """
    text = kernel_text(value)
    had = [
        trial
        for trial in trained
        if text in (kernel_text(trial.requested.get(parameter, "")), trial.applied.get(parameter))
    ]
    if not had:
        experts_of_it = [name for name, each in EXPERT_SETTINGS.items() if kernel_text(each.get(parameter, "")) == text]
        rounded = f"to that of {EXPERT} {experts_of_it[0]}" if experts_of_it else "to one that a person would choose"
        return f"the study: a value tried in training, rounded {rounded}" if trained else ""
    experts = [trial for trial in had if trial.proposed_by.startswith(EXPERT)]
    first = min(experts or had, key=lambda trial: trial.id or 0)
    return f"{first.proposed_by} (trial {first.id})" if first.proposed_by else ""
