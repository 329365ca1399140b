# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The ablation: removes the winner's values that contribute nothing.

Screening estimates every contribution (screening.py). Values that seem useless are removed if that is shown to be
non-inferior (non_inferiority.py), and the reduced set is proved against the baseline again. Otherwise all values stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy.stats import norm

from .._study.parameters import kernel_text
from .._study.space import Candidate, Value
from .._study.study import Study
from .._trial.reward import objective, percent
from .._trial.trial import Phase
from .coupled import Unit, units
from .estimate import by_host, over_hosts, percents, pooled_variance
from .evidence import Ablation, Contribution, Proof
from .non_inferiority import non_inferior
from .pairing import Measure
from .screening import Screening
from .sequential_test import prove

# Contributions below this part of the gain, or below min_improvement, are not worth finding.
_SMALL = 0.1


def ablate(
    winner: Candidate,
    proof: Proof,
    hosts: Sequence[str],
    originals: Mapping[str, Mapping[str, Value]],
    measure: Measure,
    study: Study,
    *,
    seed: int,
) -> Ablation:
    """Find the values of the winner that are needed. proof: the winner's. originals: each host's. Raises as `measure`.

    Which trials are run depends only on the arguments and on earlier measurements.
    """
    rules = study.verification
    found = units(winner, originals, study.space.constraints)
    changed = [unit for unit in found if _differs(unit, winner, originals)]
    unchanged = [
        Contribution(param=param, decision="unchanged") for unit in found if unit not in changed for param in unit
    ]
    if len(changed) < 2:
        whole = [
            Contribution(
                param=param,
                decision="kept",
                contribution=proof.improvement,
                interval=proof.interval,
                confounded_with=_others(param, changed),
            )
            for unit in changed
            for param in unit
        ]
        return Ablation(reason="", contributions=(*whole, *unchanged), all_values=proof)

    log_ratios = by_host(proof.evidence)
    estimate = over_hosts(log_ratios)
    gain = estimate.mean if estimate else 0.0
    min_effect = math.log1p(rules.min_improvement / 100)
    screening = Screening(
        lambda host, kept: {**originals[host], **{param: winner[param] for param in kept}},
        lambda trial: objective(study, trial),
        noise=pooled_variance(log_ratios.values()),
        min_contribution=max(min_effect, _SMALL * gain),
        seed=seed,
    )
    kept = screening.run(changed, hosts, measure, rules.ablation_pairs)

    def conclude(reason: str, kept: Sequence[Unit] = changed, fewer_values: Proof | None = None) -> Ablation:
        z = float(norm.isf((1 - rules.confidence) / 2))
        contributions = []
        for unit in changed:
            for param in unit:
                estimate = screening.estimate([param]) if screening.contrasts else None
                contributions.append(
                    Contribution(
                        param=param,
                        decision="kept" if unit in kept else "dropped",
                        contribution=percent(estimate.mean) if estimate else None,
                        interval=percents(estimate.interval(z)) if estimate else None,
                        confounded_with=_others(param, changed),
                    )
                )
        return Ablation(
            reason=reason,
            contributions=(*contributions, *unchanged),
            contrasts=tuple(screening.contrasts),
            all_values=proof,
            fewer_values=fewer_values,
        )

    if not kept:
        return conclude("Ablation inconclusive: no contribution could be distinguished from noise, all values are kept")
    if len(kept) == len(changed):
        return conclude("Every changed value contributes")
    dropped = non_inferior(
        sorted((unit for unit in changed if unit not in kept), key=lambda unit: screening.estimate(unit).mean),
        lambda some: screening.with_and_without(some, [unit for unit in changed if unit not in some], measure),
        min_effect=min_effect,
        gain=gain,
        budget=rules.ablation_pairs,
    )
    if not dropped:
        return conclude("Ablation inconclusive: no value was shown to be dispensable, all are kept")
    kept = [unit for unit in changed if unit not in dropped]
    names = {param for unit in kept for param in unit}
    fewer_values = prove(
        {param: value for param, value in winner.items() if param in names},
        hosts,
        measure,
        study,
        seed=seed + 1,
        phase=Phase.ABLATE,
        rounds=rules.ablation_rounds(len(hosts)),
        originals=originals,
        pairs_before=screening.pairs,
    )
    if fewer_values.improved:
        sufficient = "change is" if len(kept) == 1 else "changes are"
        return conclude(f"{len(kept)} of {len(changed)} {sufficient} sufficient", kept, fewer_values)
    return conclude(
        f"Ablation inconclusive: the improvement of {len(kept)} of {len(changed)} changes was not proved "
        f"({fewer_values.reason}), all values are kept",
        fewer_values=fewer_values,
    )


def _differs(unit: Unit, winner: Candidate, originals: Mapping[str, Mapping[str, Value]]) -> bool:
    return any(kernel_text(winner[param]) != kernel_text(own[param]) for own in originals.values() for param in unit)


def _others(param: str, changed: Sequence[Unit]) -> tuple[str, ...]:
    return tuple(other for unit in changed if param in unit for other in unit if other != param)
