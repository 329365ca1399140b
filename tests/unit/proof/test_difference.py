# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import math
from typing import Literal

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.difference import limit_of
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import GuardMetric
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.reward import log_ratio


@pytest.mark.parametrize(
    ("direction", "may_worsen", "at_the_limit"),
    [("maximise", 5, 95), ("maximise", 50, 50), ("minimise", 5, 105), ("minimise", 50, 150), ("minimise", 100, 200)],
)
def test_the_limit_is_a_part_of_the_metrics_own_value(
    direction: Literal["maximise", "minimise"], may_worsen: float, at_the_limit: float
) -> None:
    guard = GuardMetric(metric="m", direction=direction, may_worsen=may_worsen)
    assert limit_of(guard) == pytest.approx(log_ratio(at_the_limit, 100, direction))


def test_a_metric_that_may_fall_by_all_of_its_value_has_a_finite_limit() -> None:
    guard = GuardMetric(metric="m", direction="maximise", may_worsen=100)
    assert -math.inf < limit_of(guard) < math.log(0.2)
