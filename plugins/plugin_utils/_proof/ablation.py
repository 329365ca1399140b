# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The ablation: finds the smallest part of the winner that proves the gain. The burden of proof is on each value.

Screening estimates every contribution (screening.py). The values that were shown to contribute are proved against the
hosts' own values, without all others. While that proof fails, or shows that much of the gain is lost, as where values
only work together, the more promising half of the others comes back. If no smaller set is proved within the pairs that
there are, all values stay, since they have a proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from scipy.stats import norm

from .._study.space import Candidate, Value
from .._study.study import Study
from .._trial.reward import objective, percent
from .._trial.trial import Phase, Trial
from .coupled import Unit, changes, units
from .estimate import Estimate, by_host, over_hosts, percents, pooled_variance
from .evidence import Ablation, Contribution, Proof, refused
from .pairing import Measure
from .screening import Screening
from .verification import verify

_GIVEN_UP = 0.05  # of the winner's gain, for a role with fewer values
# Probability of taking values back although no more than that is lost. Small: the winner's proof stopped as soon
# as it was significant, so it overestimates its gain (Whitehead, Biometrika 73, 1986): at 0.1, in 20 % noise, nearly
# every smaller set seemed to lose, and parameters that do nothing came back with the others.
_LOSS_ERROR = 0.01


def ablate(
    winner: Candidate,
    proof: Proof,
    hosts: Sequence[str],
    originals: Mapping[str, Mapping[str, Value]],
    measure: Measure,
    study: Study,
    *,
    seed: int,
    notify: Callable[[str], object] = lambda text: None,
) -> Ablation:
    """Find the values of the winner that are needed. proof: the winner's. originals: each host's. Raises as `measure`.

    notify: is told of pauses between runs, as by `verify`. Which trials are run depends only on the arguments and on
    earlier measurements.
    """
    rules = study.verification
    found = units(winner, originals, study.space.constraints)
    differing = set(changes(winner, originals))
    changed = [unit for unit in found if differing & set(unit)]
    unchanged = [
        *(Contribution(param=param, decision="unchanged") for unit in found if unit not in changed for param in unit),
        *(Contribution(param=param, decision="reset") for param in study.space.parameters if param not in winner),
    ]
    if len(changed) < 2 or rules.keep == "all":
        kept = [_as_a_whole(param, changed, proof) for unit in changed for param in unit]
        return Ablation(reason="", contributions=(*kept, *unchanged), all_values=proof)

    screening = Screening(
        lambda host, kept: {**originals[host], **{param: winner[param] for param in kept}},
        lambda trial: objective(study, trial),
        noise=pooled_variance(by_host(proof.evidence).values()),
        min_contribution=math.log1p(rules.min_improvement / 100),
        seed=seed,
    )
    shown = screening.run(changed, hosts, measure, rules.screening_pairs, rules.splitting_pairs(len(changed)))
    if len(shown) == len(changed):
        kept_units: Sequence[Unit] = changed
        fewer_values = None
    else:
        proofs = _Proofs(winner, proof, hosts, originals, measure, study, seed + 1, screening.pairs, notify)
        kept_units, fewer_values = proofs.smallest(shown, _promising(changed, shown, screening), changed)
    contributions = [
        _contribution(param, unit, screening, kept=unit in kept_units, shown=unit in shown, confidence=rules.confidence)
        for unit in changed
        for param in unit
    ]
    return Ablation(
        reason=_reason(changed, shown, kept_units, screening, fewer_values),
        contributions=(*contributions, *unchanged),
        contrasts=tuple(screening.contrasts),
        all_values=proof,
        fewer_values=fewer_values,
    )


def without(ablation: Ablation, harmful: Set[str]) -> Ablation:
    """The same, after a guard benchmark took these parameters out of what was kept."""
    contributions = (
        each.model_copy(update={"decision": "harmful"}) if each.param in harmful else each
        for each in ablation.contributions
    )
    return ablation.model_copy(update={"contributions": tuple(contributions)})


@dataclass
class _Proofs:
    """Proofs of parts of the winner, one after the other, with as many rounds in all as the winner's proof had.

    whole: the winner's proof. pairs_before: how many pairs of this phase were measured so far.
    """

    winner: Candidate
    whole: Proof
    hosts: Sequence[str]
    originals: Mapping[str, Mapping[str, Value]]
    measure: Measure
    study: Study
    seed: int
    pairs_before: int
    notify: Callable[[str], object]

    def __post_init__(self) -> None:
        self._left = self.study.verification.rounds(len(self.hosts))

    def smallest(
        self, shown: Sequence[Unit], others: Sequence[Unit], changed: Sequence[Unit]
    ) -> tuple[Sequence[Unit], Proof | None]:
        """The units that are proved with the fewest others, most promising first, and the latest proof."""
        proof, kept, others = None, list(shown), list(others)
        while self._left >= self.study.verification.fewest_rounds(len(self.hosts)):
            if proof or not kept:
                back = others[: -(-len(others) // 2)]
                kept, others = [*kept, *back], others[len(back) :]
                if not back or len(kept) == len(changed):
                    break
            proof = self._prove(kept)
            if proof.improved and _loses(self.whole, proof):
                gains = f"{proof.improvement:+.1f} % instead of {self.whole.improvement:+.1f} %"
                proof = refused(proof, f"It gains {gains}")
            if proof.improved:
                return kept, proof
        return changed, proof

    def _prove(self, kept: Sequence[Unit]) -> Proof:
        names = {param for unit in kept for param in unit}
        before = self.pairs_before
        proof = verify(
            {param: value for param, value in self.winner.items() if param in names},
            self.hosts,
            self._measure_pairs,
            self.study,
            seed=self.seed,
            phase=Phase.ABLATE,
            rounds=self._left,
            originals=self.originals,
            pairs_before=before,
            notify=self.notify,
        )
        self.seed += 1
        self._left -= -(-(self.pairs_before - before) // len(self.hosts))
        return proof

    def _measure_pairs(self, pending: Sequence[Trial]) -> list[Trial]:
        self.pairs_before += len(pending) // 2
        return self.measure(pending)


def _loses(whole: Proof, part: Proof) -> bool:
    """Whether a part of the values was shown to lose more of the gain than is given up for a smaller role."""
    all_values, some = over_hosts(by_host(whole.evidence)), over_hosts(by_host(part.evidence))
    if all_values is None or some is None:
        return False
    loss = Estimate(
        (1 - _GIVEN_UP) * all_values.mean - some.mean,
        math.hypot((1 - _GIVEN_UP) * all_values.error, some.error),
        min(all_values.freedom, some.freedom),
    )
    return loss.z() > float(norm.isf(_LOSS_ERROR))


def _promising(changed: Sequence[Unit], shown: Sequence[Unit], screening: Screening) -> list[Unit]:
    """The units that were not shown to contribute but may do so, the most promising first."""
    lower = {}
    for unit in changed:
        estimate = screening.estimate(screening.moved_with(unit))
        if unit not in shown and estimate.mean > 0:
            lower[unit] = estimate.mean / max(estimate.error, 1e-9)
    return sorted(lower, key=lambda unit: lower[unit], reverse=True)


def _as_a_whole(param: str, changed: Sequence[Unit], proof: Proof) -> Contribution:
    """Of a value that was only ever measured together with all the others."""
    others = tuple(other for unit in changed for other in unit if other != param)
    return Contribution(
        param=param,
        decision="kept",
        basis="jointly" if others else "alone",
        contribution=proof.improvement,
        interval=proof.interval,
        confounded_with=others,
    )


def _contribution(
    param: str, unit: Unit, screening: Screening, *, kept: bool, shown: bool, confidence: float
) -> Contribution:
    together = screening.moved_with(unit)
    unseparated = {param for group in screening.unseparated for each in group for param in each}
    estimate = screening.estimate(together)
    known = math.isfinite(estimate.error)
    return Contribution(
        param=param,
        decision="kept" if kept else "dropped",
        basis="not shown" if not (shown or set(unit) <= unseparated) else "alone" if len(together) == 1 else "jointly",
        contribution=percent(estimate.mean) if known else None,
        interval=percents(estimate.interval(float(norm.isf((1 - confidence) / 2)))) if known else None,
        confounded_with=tuple(other for other in together if other != param),
    )


def _reason(
    changed: Sequence[Unit],
    shown: Sequence[Unit],
    kept: Sequence[Unit],
    screening: Screening,
    fewer_values: Proof | None,
) -> str:
    parts = []
    if len(shown) == len(changed):
        return "Every changed value contributes"
    if len(kept) < len(changed):
        parts.append(f"{len(kept)} of {len(changed)} changes {'is' if len(kept) == 1 else 'are'} sufficient")
    else:
        why = f" ({fewer_values.reason})" if fewer_values else ""
        parts.append(f"Ablation inconclusive: no smaller set was proved{why}, all values are kept")
    unshown = [param for unit in kept if unit not in shown for param in unit]
    if unshown:
        parts.append(f"Not shown to contribute by themselves: {', '.join(unshown)}")
    for group in screening.unseparated:
        parts.append(f"Not separated: {', '.join(param for unit in group for param in unit)}")
    return ". ".join(parts)
