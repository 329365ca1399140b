# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.training import baselines_before_training
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, State, Trial


def ended(number: int, phase: Phase, host: str, *, error: str | None = None) -> Trial:
    return Trial(
        phase,
        original=True,
        host=host,
        id=number,
        state=State.FAILED if error else State.COMPLETE,
        metric=None if error else 100.0,
        error=error,
    )


def found(trials: list[Trial], needed: int = 1) -> dict[str, list[int | None]]:
    return {
        host: [each.id for each in measured] for host, measured in baselines_before_training(trials, needed).items()
    }


def test_a_replayed_training_starts_from_the_first_baselines() -> None:
    """Not from those of a host that joined later, or was rebooted; and not from failures."""
    trials = [
        ended(1, Phase.BASELINE, "h1"),
        ended(2, Phase.BASELINE, "h2"),
        ended(3, Phase.BASELINE, "h1", error="the benchmark failed"),
        ended(4, Phase.TRAIN, "h1"),
        ended(5, Phase.BASELINE, "h1"),
        ended(6, Phase.BASELINE, "h3"),
    ]
    assert found(trials) == {"h1": [1], "h2": [2]}
    assert found(trials[:3]) == found(trials), "as when the training began"


def test_a_host_that_was_refused_or_lost_during_its_baseline_does_not_count() -> None:
    trials = [ended(1, Phase.BASELINE, "h1"), ended(2, Phase.BASELINE, "h2"), ended(3, Phase.BASELINE, "h2")]
    assert found(trials, needed=2) == {"h2": [2, 3]}
