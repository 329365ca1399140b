# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The ablation: parameters go back to the hosts' own values where these are as good.

What each is worth a screening tells (screening.py). What seems to be of no use is done without (missed.py), and what
remains is proved anew against the baseline; if that fails, all values stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import variance
from typing import Literal

from .._evaluation.reward import figure, percent
from .._study.parameters import kernel_text
from .._study.space import Candidate, Value
from .._study.study import Study
from .evidence import by_host, percents
from .linked import Unit, units
from .missed import not_missed
from .screening import Screening, Swap
from .verification import Measure, Proof, prove

# What brings less of the gain, or less than min_improvement, the screening does not look for.
_SMALL = 0.1

Fate = Literal["kept", "dropped", "unchanged"]


@dataclass(frozen=True)
class Share:
    """What a parameter contributes, in per cent, with its interval; None where its value is every host's own.

    together: what was only ever moved along with it, so that the share is the equal part of theirs.
    """

    param: str
    fate: Fate
    share: float | None = None
    interval: tuple[float, float] | None = None
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ablation:
    """`values` is what remains, and `proof` what proves it.

    That is `again`, the proof of fewer values, or `before`, the proof of all of them, if no fewer are as good.
    """

    values: Candidate
    proof: Proof
    reason: str
    shares: Sequence[Share]
    before: Proof
    swaps: Sequence[Swap] = ()
    again: Proof | None = None


def ablate(
    winner: Candidate,
    proof: Proof,
    hosts: Sequence[str],
    own: Mapping[str, Mapping[str, Value]],
    measure: Measure,
    study: Study,
    *,
    seed: int,
) -> Ablation:
    """own: each host's own values. proof: the winner's. Raises what `measure` raises.

    What is asked for depends only on the arguments and on what was measured.
    """
    rules = study.verification
    found = units(winner, own, study.space.constraints)
    changed = [unit for unit in found if _differs(unit, winner, own)]
    unchanged = [Share(parameter, "unchanged") for unit in found if unit not in changed for parameter in unit]
    if len(changed) < 2:
        shares = [Share(p, "kept", proof.improvement, proof.interval, _others(p, changed)) for u in changed for p in u]
        return Ablation(_only(winner, changed), proof, "", [*shares, *unchanged], proof)

    gain = math.log1p((proof.improvement or 0.0) / 100)
    matters = math.log1p(rules.min_improvement / 100)
    screening = Screening(
        lambda host, kept: {**own[host], **{parameter: winner[parameter] for parameter in kept}},
        lambda evaluation: figure(study, evaluation.measurement),
        noise=_noise(proof),
        worth=max(matters, _SMALL * gain),
        seed=seed,
    )
    kept = screening.run(changed, hosts, measure, rules.screening)

    def outcome(values: Sequence[Unit], valid: Proof, reason: str, again: Proof | None = None) -> Ablation:
        shares = []
        for unit in changed:
            for parameter in unit:
                share, interval = screening.estimate([parameter], rules.confidence)
                fate: Fate = "kept" if unit in values else "dropped"
                known = bool(screening.swaps)
                shares.append(
                    Share(
                        parameter,
                        fate,
                        percent(share) if known else None,
                        percents(interval) if known else None,
                        _others(parameter, changed),
                    )
                )
        return Ablation(_only(winner, values), valid, reason, [*shares, *unchanged], proof, screening.swaps, again)

    if not kept:
        return outcome(changed, proof, "no single value's share could be told from the noise: all are kept")
    if len(kept) == len(changed):
        return outcome(changed, proof, "every value that was changed is needed")
    without = not_missed(
        sorted((unit for unit in changed if unit not in kept), key=screening.share),
        lambda some: screening.with_and_without(some, [unit for unit in changed if unit not in some], measure),
        matters=matters,
        gain=gain,
        budget=rules.without,
    )
    if not without:
        return outcome(changed, proof, "no change could be shown to be unnecessary: all are kept")
    kept = [unit for unit in changed if unit not in without]
    again = prove(
        _only(winner, kept),
        hosts,
        measure,
        study,
        seed=seed + 1,
        phase="ablate",
        rounds=rules.rounds_again(len(hosts)),
        own=own,
        first=screening.pairs,
    )
    if again.improved:
        return outcome(
            kept, again, f"{len(kept)} of {len(changed)} changes {'is' if len(kept) == 1 else 'are'} enough", again
        )
    return outcome(changed, proof, f"fewer values were not proved anew ({again.reason}): all are kept", again)


def _differs(unit: Unit, winner: Candidate, own: Mapping[str, Mapping[str, Value]]) -> bool:
    return any(
        kernel_text(winner[parameter]) != kernel_text(values[parameter])
        for values in own.values()
        for parameter in unit
    )


def _others(parameter: str, changed: Sequence[Unit]) -> tuple[str, ...]:
    return tuple(other for unit in changed if parameter in unit for other in unit if other != parameter)


def _only(winner: Candidate, kept: Sequence[Unit]) -> Candidate:
    names = {parameter for unit in kept for parameter in unit}
    return {parameter: value for parameter, value in winner.items() if parameter in names}


def _noise(proof: Proof) -> tuple[float, int]:
    """Variance of a pair of the proof on its host, and its degrees of freedom: swaps are as noisy."""
    groups = by_host(proof.pairs).values()
    freedom = sum(len(values) - 1 for values in groups)
    return (sum(variance(values) * (len(values) - 1) for values in groups) / freedom, freedom) if freedom else (0.0, 0)
