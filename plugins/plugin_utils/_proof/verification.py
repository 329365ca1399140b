# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A proof that is of use: free of carry-over, and with an interval that tells an operator something.

Once the test has decided for an improvement, more pairs follow until carry-over would have been found, and until the
interval is no wider than half of the gain, or until the budget ends. The interval stays valid, because repeated
confidence intervals hold at all analyses together, whenever one stops (Jennison and Turnbull, JRSS B 51, 1989). The
verdict is that of the last analysis: harm, or a significance that is lost again, withdraws an improvement, but no later
pair makes an improvement of what was none. So it can only become stricter (as the decision analysis of Hampson and
Jennison, JRSS B 75, 2013, after pairs that come in late).

With carry-over there is no improvement. The proof begins anew with a pause before each run, which is doubled as long as
there is still carry-over. Only an improvement is proved anew, so this does not add to the type I error.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from .._study.space import Value
from .._study.study import Study
from .._trial.trial import Phase, Trial
from .carry_over import carry_over, described
from .evidence import CarryOver, Proof, refused
from .pairing import Measure
from .sequential_test import prove

_LOG = logging.getLogger(__name__)
_WIDTH = 0.5  # of the interval, as a part of the gain
# Carry-over that must not be missed, in per cent; where the budget cannot find that, as a part of the gain, because it
# biases the gain by a quarter of itself.
_CARRY_OVER, _CARRY_OVER_OF_GAIN = 5.0, 0.25
_PAUSES = 3
_LONGEST_PAUSE = 60.0  # seconds


def verify(
    candidate: Mapping[str, Value],
    hosts: Sequence[str],
    measure: Measure,
    study: Study,
    *,
    seed: int,
    phase: Phase = Phase.VERIFY,
    rounds: int | None = None,
    originals: Mapping[str, Mapping[str, Value]] | None = None,
    pairs_before: int = 0,
    precise: bool = True,
    begun: Sequence[Trial] = (),
    notify: Callable[[str], object] = lambda text: None,
) -> Proof:
    """Prove the candidate; arguments and replay as `prove` has them.

    precise: go on after the decision, which what is learned needs. begun: the trials of the same proof that was not
    precise; it goes on where that ended. notify: is told of pauses from here on.
    """
    most = (rounds or study.verification.rounds(len(hosts))) * len(hosts)
    tests: list[CarryOver] = []
    *former, latest = _by_pause(begun) or [[]]
    for each in former:
        tested = carry_over(study, each, tests[0] if tests else None)
        tests += [tested] if tested else []
        pairs_before = max(trial.pair or 0 for trial in each)
    pause = latest[0].pause if latest else 0.0
    measure = _remembering(latest, measure)
    while True:
        trials: list[Trial] = []
        proof = prove(
            candidate,
            hosts,
            _recording(measure, pause, trials),
            study,
            seed=seed,
            phase=phase,
            rounds=rounds,
            originals=originals,
            pairs_before=pairs_before,
            goes_on=_goes_on(study, trials, tests[0] if tests else None, most) if precise else lambda proof: False,
        )
        tested = carry_over(study, trials, tests[0] if tests else None)
        tests += [tested] if tested else []
        proof = proof.model_copy(update={"carry_over": tuple(tests)})
        if not (proof.improved and tested and tested.found):
            return proof
        text = described(tested)
        if len(tests) > _PAUSES:
            remedy = "name a command in `between` that resets the workload before each run"
            reason = f"Carry-over, also with pauses of {tested.pause:.0f} s: {text}; {remedy}"
            return refused(proof, reason)
        pause = min(2.0 * round(tested.pause), _LONGEST_PAUSE) or _first_pause(trials)
        notify(f"carry-over: {text}; the proof begins anew, with a pause of {pause:g} s before each run")
        pairs_before = max(trial.pair or 0 for trial in trials)


def paused(measure: Measure, proof: Proof) -> Measure:
    """Measures with the pause that this proof needed."""
    return _recording(measure, round(proof.carry_over[-1].pause) if proof.carry_over else 0.0, [])


def _by_pause(trials: Sequence[Trial]) -> list[list[Trial]]:
    """One list for each time that the proof was begun."""
    return [[trial for trial in trials if trial.pause == pause] for pause in sorted({trial.pause for trial in trials})]


def _remembering(trials: Sequence[Trial], measure: Measure) -> Measure:
    """Answers the first requests with these trials, which were measured for the same ones, and measures the rest."""
    known = list(trials)

    def measured(pending: Sequence[Trial]) -> list[Trial]:
        answers = known[: len(pending)]
        del known[: len(pending)]
        return [*answers, *(measure(pending[len(answers) :]) if len(answers) < len(pending) else ())]

    return measured


def _recording(measure: Measure, pause: float, trials: list[Trial]) -> Measure:
    def measured(pending: Sequence[Trial]) -> list[Trial]:
        ended = measure([replace(trial, pause=max(trial.pause, pause)) for trial in pending])
        trials.extend(ended)
        return ended

    return measured


def _goes_on(study: Study, trials: Sequence[Trial], earlier: CarryOver | None, most: int) -> Callable[[Proof], bool]:
    """Whether a proof of an improvement needs more pairs. earlier: carry-over without a pause. most: pairs at most.

    It is tested for carry-over once, as soon as that is possible.
    """
    tests: list[CarryOver] = []

    def goes_on(proof: Proof) -> bool:
        if proof.improvement is None or proof.interval is None:
            return False
        if not tests:
            tested = carry_over(study, trials, earlier)
            if not tested or tested.detectable > _wanted(tested, proof.improvement, len(proof.evidence) / most):
                return True
            tests.append(tested)
            if tested.found:
                return False
        low, high = proof.interval
        return high - low > _WIDTH * proof.improvement

    return goes_on


def _wanted(tested: CarryOver, gain: float, budget_used: float) -> float:
    """The carry-over that must be detectable, in per cent."""
    possible = tested.detectable * math.sqrt(budget_used) <= _CARRY_OVER
    return _CARRY_OVER if possible else max(_CARRY_OVER, _CARRY_OVER_OF_GAIN * gain)


def _first_pause(trials: Sequence[Trial]) -> float:
    """As long as the benchmark, and short enough to be doubled."""
    seconds = fmean(trial.seconds.get("benchmark", 0.0) for trial in trials)
    return float(min(max(math.ceil(seconds), 1), _LONGEST_PAUSE / 2 ** (_PAUSES - 1)))
