# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a study wants besides its reward_metric, and when it may save itself the rest of the work."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .parameters import Strict

MetricName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z][A-Za-z0-9_.%/-]*$")]
Direction = Literal["maximise", "minimise"]
# YAML reads `off` and `on` as booleans, and `early_stopping: false` says the same of both.
_BothOrNone = BeforeValidator(lambda given: {"run": given, "evaluation": given} if isinstance(given, bool) else given)


class Objective(Strict):
    """A metric that counts besides the reward_metric, whose weight is 1; the benchmark prints both.

    What is searched for, and proved, is the weighted mean of the log ratios to the host's own baseline: twice as good
    in one metric outweighs half as good in another of the same weight, whatever their units.
    """

    metric: MetricName
    direction: Direction = "maximise"
    weight: float = Field(default=1.0, gt=0, le=1000)


class EarlyStopping(Strict):
    """run: training ends when it promises no more than `verification.min_improvement`. evaluation: a benchmark that
    `streams` is ended when what it has printed shows that the candidate will not matter.
    """

    run: bool = True
    evaluation: bool = True


EarlyStoppingOrNot = Annotated[EarlyStopping, _BothOrNone]
