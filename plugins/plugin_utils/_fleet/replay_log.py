# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The trials of an interrupted run, from the store, so that a resumed run continues where it stopped.

A resumed run starts again with the same seed. Trials after the training that it requests again are answered from here,
unchanged hosts keep their baseline, and the learner starts from the stored training trials. Nothing is measured twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._store.store import trial_of
from .._store.tables import HostRow, TrialRow
from .._study.parameters import kernel_texts
from .._study.study import Study
from .._trial.trial import ANY_HOST, Phase, Trial
from .host import Host

_AFTER_TRAINING = (Phase.RACE, Phase.VERIFY, Phase.ABLATE, Phase.GUARD, Phase.RECOVERY)


@dataclass
class ReplayLog:
    """Empty for a new run.

    trials: all of them, in the order in which they ended. hosts: those that took part, in their state at the end of the
    training. answerable: the trials after the training that have not yet answered a request, each with its host, whose
    state it updates when it does; without the host if that has changed. So the run makes the same decisions again.
    """

    study: Study | None = None
    trials: Sequence[Trial] = ()
    hosts: Mapping[str, Host] = field(default_factory=dict)
    answerable: list[tuple[Trial, Host | None]] = field(default_factory=list)

    @classmethod
    def from_rows(
        cls, study: Study, hosts: Sequence[HostRow], rows: Sequence[TrialRow], *, more_training: bool
    ) -> ReplayLog:
        """From the rows of the store. more_training: the budget was raised, which voids what followed the training."""
        by_id = {row.id: Host(row.name, row.facts, row.original_values) for row in hosts}
        changed_after = {row.id: row.changed_after or 0 for row in hosts}
        trials: list[Trial] = []
        answerable: list[tuple[Trial, Host | None]] = []
        for row in rows:
            host = by_id[row.host_id]
            # A host that rebooted or changed between two runs has lost its earlier baseline.
            unchanged = row.id > changed_after[row.host_id]
            trials.append(trial_of(row, host.name))
            if row.phase in _AFTER_TRAINING and not more_training:
                answerable.append((trials[-1], host if unchanged else None))
            elif unchanged:
                host.replay(study, trials[-1])
        return cls(study, trials, {host.name: host for host in by_id.values()}, answerable)

    @property
    def last_id(self) -> int:
        return max((trial.id or 0 for trial in self.trials), default=0)

    @property
    def trained(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.phase == Phase.TRAIN]

    @property
    def after_training(self) -> list[Trial]:
        """Those of the phases that follow the training."""
        return [trial for trial in self.trials if trial.phase in _AFTER_TRAINING]

    @property
    def training_is_over(self) -> bool:
        return bool(self.answerable)

    def hosts_in(self, phase: str) -> set[str]:
        """The hosts, present or not, whose trials can answer requests of this phase."""
        return {trial.host for trial, dummy in self.answerable if trial.phase == phase}

    def answer(self, pending: Trial) -> Trial | None:
        """The stored trial that was run for the same request, if any; each answers only once."""
        for at, (trial, host) in enumerate(self.answerable):
            if _is_answer(pending, trial):
                del self.answerable[at]
                if host and self.study:
                    host.replay(self.study, trial)
                return trial
        return None


def _is_answer(pending: Trial, done: Trial) -> bool:
    return (
        (pending.phase, pending.pair, pending.original, pending.benchmark)
        == (done.phase, done.pair, done.original, done.benchmark)
        and pending.host in (ANY_HOST, done.host)
        and (pending.original or kernel_texts(pending.requested) == kernel_texts(done.requested))
    )
