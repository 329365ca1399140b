# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase
from ansible_collections.autotune.kernel.tests.performance.learner import tables
from ansible_collections.autotune.kernel.tests.performance.learner.trained import HOSTS, bench_of, surface_of
from ansible_collections.autotune.kernel.tests.performance.learner.whole_studies import COLUMNS, table, whole_study


@pytest.mark.slow
def test_a_whole_study_ends_in_a_role_that_is_judged_without_noise():
    surface = surface_of("additive", 0, 8)
    bench = bench_of(surface, 0.01, 0)
    random = np.random.default_rng(0)
    for host in HOSTS:
        bench.measure(None, Phase.BASELINE, host)
    bench([surface.space.decode(random.random(8)) for dummy in range(64)])
    tried = [[e.phase, e.host, list(e.requested.values()), e.metric] for e in bench.evaluations]
    row = whole_study("additive", 1, 0, {"tried": tried})
    assert row["improved"]
    assert 0 <= row["idle_in_role"] <= row["idle_in_whole"] <= row["idle"]
    assert 0 < row["role"] <= surface.optimum + 1e-6
    lines = table([{**row, "noise": 3}])
    assert [line[1] for line in lines] == ["all", "all but bottleneck", "additive"]
    assert tables.markdown(COLUMNS, lines).count("\n") == 4
