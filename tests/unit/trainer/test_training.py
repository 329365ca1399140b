# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.training import _baselines_before_training
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial


def evaluation(number: int, phase: Phase, host: str, *, error: str | None = None) -> Trial:
    state = State.FAILED if error else State.COMPLETE
    return Trial(phase, original=True, host=host, id=number, state=state, metric=None if error else 100.0, error=error)


def test_a_replayed_training_starts_from_the_first_baselines() -> None:
    """Not from those of a host that joined later, or was rebooted; and not from failures."""
    history: Any = SimpleNamespace(
        trials=[
            evaluation(1, Phase.BASELINE, "h1"),
            evaluation(2, Phase.BASELINE, "h2"),
            evaluation(3, Phase.BASELINE, "h1", error="the benchmark failed"),
            evaluation(4, Phase.TRAIN, "h1"),
            evaluation(5, Phase.BASELINE, "h1"),
            evaluation(6, Phase.BASELINE, "h3"),
        ]
    )
    found = _baselines_before_training(history)
    assert {host: [each.id for each in measured] for host, measured in found.items()} == {"h1": [1], "h2": [2]}
