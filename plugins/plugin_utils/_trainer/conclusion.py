# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How a run has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .._proof.evidence import Ablation, Pair, Proof, Recovery, Standing
from .._proof.harm import Guarded
from .._study.space import Candidate
from .._study.study import Study
from .._trial.trial import Phase, Trial

Verdict = Literal["improved", "no_improvement", "failed", "stopped"]
Runs = dict[tuple[str, int], Trial]
NO_PROOF = Proof(improved=False, reason="")


@dataclass(frozen=True)
class Conclusion:
    """learned_values, proof: the values that ablation and guard benchmarks left, and their proof.

    recovery: of each host, at the end.
    """

    verdict: Verdict
    reason: str
    learned_values: Candidate | None = None
    standings: Sequence[Standing] = ()
    proof: Proof = NO_PROOF
    ablation: Ablation | None = None
    guarded: Guarded | None = None
    recovery: Mapping[str, Recovery] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether the study needs no more trials."""
        return self.verdict in ("improved", "no_improvement")

    def is_proved(self, study: Study) -> bool:
        """Whether the learned values were shown to be better, and not to worsen a guard benchmark."""
        harmless = self.guarded is not None and self.guarded.reason is None
        return self.proof.improved and (harmless or not study.guard_benchmarks)

    @property
    def counted(self) -> Sequence[Pair]:
        """The pairs that the proof's estimates are based on; without estimates, all pairs."""
        return [pair for pair in self.proof.evidence if pair.host in self.proof.by_host] or self.proof.evidence

    def runs(self, trials: Iterable[Trial]) -> tuple[Runs, Runs]:
        """The proof's runs with the original and with the learned values, by host and number of the pair."""
        reduced = self.ablation is not None and self.proof == self.ablation.fewer_values
        phase = Phase.ABLATE if reduced else Phase.VERIFY
        if self.guarded and self.proof == self.guarded.proof:
            phase = Phase.GUARD
        pairs = {(pair.host, pair.pair) for pair in self.proof.evidence}
        original: Runs = {}
        tuned: Runs = {}
        for trial in trials:
            key = trial.host, trial.pair or 0
            if trial.phase == phase and not trial.benchmark and key in pairs:
                (original if trial.original else tuned)[key] = trial
        return original, tuned
