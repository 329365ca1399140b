# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether the hosts have their performance back at the end of a run, not only their original values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from scipy.stats import norm

from .._fleet.host import Host
from .._study.study import Study
from .._trial.reward import objective, percent
from .._trial.trial import Phase, State, Trial
from .estimate import Estimate, percents
from .evidence import Recovery
from .pairing import Measure

_ALPHA = 0.01  # probability of a false alarm for each host
_ERROR_OF_MEDIAN = math.sqrt(math.pi / 2)  # relative to that of a mean


def measure_recovery(
    study: Study, hosts: Mapping[str, Host], trials: Sequence[Trial], measure: Measure
) -> dict[str, Recovery]:
    """Measure the original values as often as in the baseline phase, and compare. trials: those of the run so far.

    Compared with the latest baseline, since a host that rebooted while the study was interrupted has several. Medians,
    because the first run on a host is often slow. Raises as `measure`; lost hosts have no entry.
    """
    pending = [Trial.pending(Phase.RECOVERY, None, name) for dummy in range(study.baseline_trials) for name in hosts]
    ended = measure(pending)
    before = [trial for trial in trials if trial.phase == Phase.BASELINE]
    found = {}
    for name, host in hosts.items():
        own = [trial for trial in ended if trial.host == name and trial.state != State.LOST]
        baseline = [trial for trial in before if trial.host == name][-study.baseline_trials :]
        first, last = _objectives(study, baseline), _objectives(study, own)
        if own and first:
            found[name] = _compared(study, host, first, last)
    return found


def _objectives(study: Study, trials: Sequence[Trial]) -> list[float]:
    return [value for trial in trials if (value := objective(study, trial)) is not None]


def _compared(study: Study, host: Host, first: Sequence[float], last: Sequence[float]) -> Recovery:
    if not last:
        return Recovery(recovered=False)
    error = _ERROR_OF_MEDIAN * host.drift.noise * math.sqrt(1 / len(first) + 1 / len(last))
    change = Estimate(median(last) - median(first), error, max(host.drift.degrees_of_freedom, 1))
    is_worse = change.z() <= -norm.isf(_ALPHA) and percent(change.mean) <= -study.verification.min_improvement
    z = float(norm.isf((1 - study.verification.confidence) / 2))
    return Recovery(recovered=not is_worse, change=percent(change.mean), interval=percents(change.interval(z)))
