# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The candidates that race: the best of the training, and simpler ones that the surrogate holds to be as good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._learner.observation import HostContexts
from .._learner.recommendation import MIN_TRIALS, recommend
from .._learner.simplification import with_round_numbers, without_useless
from .._proof.coupled import changes, units, violates
from .._study.parameters import kernel_texts
from .._study.presets import EXPERT_SETTINGS
from .._study.space import Candidate, Numbers, Value
from .._study.study import Study
from .._trial.trial import State, Trial

# The part of the gain that rounding may cost, as predicted.
_ROUNDED = 0.01

Originals = Mapping[str, Mapping[str, Value]]


def contenders(
    study: Study,
    trained: Sequence[Trial],
    baselines: Sequence[Trial],
    contexts: Mapping[str, Sequence[float]],
    originals: Originals,
) -> list[Candidate]:
    """At most `verification.candidates`; values that are missing in one are the hosts' own.

    baselines: trials of the original values. contexts: as for `search`. originals: each host's values.
    """
    most = study.verification.candidates
    best = recommend(study.space, trained, most, contexts)
    if not best or study.verification.keep == "all" or sum(t.state != State.FAILED for t in trained) < MIN_TRIALS:
        return best
    from .._learner.surrogate import RewardModel  # imports torch

    unreachable = {host: set(study.space.unreachable(own)) for host, own in originals.items()}
    known = [trial for trial in baselines if trial.host in originals and not unreachable[trial.host]]
    model = RewardModel(study.space, [*known, *trained], HostContexts(contexts))

    def on_hosts(candidates: Sequence[Candidate]) -> list[dict[str, dict[str, Value]]]:
        return [{host: {**own, **each} for host, own in originals.items()} for each in candidates]

    def predict(candidates: Sequence[Candidate]) -> Sequence[float]:
        return list(model.of_values(on_hosts(candidates)))

    def contrasts(candidates: Sequence[Candidate], weights: Numbers) -> tuple[Numbers, Numbers]:
        return model.contrasts(on_hosts(candidates), weights)

    def simplified(candidate: Candidate) -> Candidate:
        gain = max(predict([candidate])[0] - predict([{}])[0], 0.0)
        removable = [
            unit
            for unit in units(candidate, originals, study.space.constraints)
            if not any(unreachable[host] & set(unit) for host in originals)
        ]
        found = without_useless(candidate, removable, predict, contrasts, gain)
        if study.exploration == "cautious":  # other numbers may be outside of what is known to do no harm
            return found
        favourites = {
            name: [own[name] for own in originals.values()]
            + [each[name] for each in EXPERT_SETTINGS.values() if name in each]
            for name in found
        }
        return with_round_numbers(
            found,
            study.space,
            favourites,
            lambda each: not violates(each, originals, study.space.constraints),
            predict,
            _ROUNDED * gain,
        )

    simple = [simplified(candidate) for candidate in best]
    found = simple
    # Where only numbers were rounded, noise would choose between the two.
    if most > 1 and set(changes(simple[0], originals)) != set(changes(best[0], originals)):
        found = [simple[0], best[0], *simple[1:]]
    # Simplified and rounded, a candidate may be what the hosts have: that would win every tie and prove nothing.
    found = [each for each in found if changes(each, originals)] or best[:1]
    distinct: dict[tuple[tuple[str, str], ...], Candidate] = {}
    for each in found:
        distinct.setdefault(tuple(sorted(kernel_texts(each).items())), each)
    return list(distinct.values())[:most]
