# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.autotune.kernel.tests.performance.learner.families import FAMILIES, surface_of, without_effect


@pytest.mark.takes_seconds
@pytest.mark.parametrize("family", FAMILIES)
def test_a_quarter_to_a_half_of_the_parameters_do_nothing(family):
    for seed in range(3):
        surface = surface_of(family, seed, 8)
        idle = without_effect(surface)
        assert 2 <= len(idle) <= 4
        random = np.random.default_rng(seed)
        point = surface.space.encode(surface.best)
        for at in (at for at, axis in enumerate(surface.space.axes) if axis.parameter in idle):
            point[at] = random.random()
        assert surface.at(point[None, :])[0] == pytest.approx(surface.optimum)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_is_0_and_the_same_seed_gives_the_same_surface(family):
    one, other = (surface_of(family, 5, 8) for dummy in range(2))
    assert one.performance(one.default) == pytest.approx(0)
    assert (one.default, one.best, one.optimum) == (other.default, other.best, other.optimum)
