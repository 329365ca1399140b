# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Our own learner on a surface: complete, and with one of its components removed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial

from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.components import Components
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.protocols import Proposal
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.space import Candidate
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial

from .measuring import BASELINE, Bench, contexts_of, evaluated


def search(bench: Bench, budget: int, seed: int, *, components: Components, known: Sequence[Trial] = ()) -> None:
    """known: baseline trials; by default one of each host, without noise."""
    # Imported here, so that other algorithms can run while the learner is being changed.
    from ansible_collections.autotune.kernel.plugins.plugin_utils._learner import learner

    differing = len(bench.hosts) > 1
    default = bench.surface.default
    baselines = [
        evaluated(1, Trial.pending(Phase.BASELINE, None, host.name), default, BASELINE, seen)
        for host, seen in zip(bench.hosts, bench.observed(), strict=True)
    ]
    learner.search(
        bench.space,
        Fleet(bench),
        budget=budget,
        seed=seed,
        original=default,
        metrics=["memory_used_percent", "cpu_usage"] if differing else [],
        contexts=contexts_of(bench.hosts),
        known=known or baselines,
        earlier=bench.history,
        components=components,
    )


class Fleet:
    """An Evaluator whose hosts take the next candidate as soon as they have finished one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._waiting: deque[Candidate] = deque()
        self._idle = deque(host.name for host in bench.hosts)
        self._busy: deque[tuple[str, Candidate]] = deque()
        self.slots = len(bench.hosts)

    def submit(self, proposals: Sequence[Proposal]) -> None:
        self._waiting.extend(proposal.candidate for proposal in proposals)
        while self._waiting and self._idle:
            self._busy.append((self._idle.popleft(), self._waiting.popleft()))

    def collect(self) -> list[Trial]:
        host, candidate = self._busy.popleft()
        self._idle.append(host)
        return [self._bench.measure(candidate, Phase.TRAIN, host)]


OURS: dict[str, Callable[[Bench, int, int], None]] = {
    "ppo": partial(search, components=Components()),
    **{
        f"without {component.name.replace('_', ' ')}": partial(
            search, components=replace(Components(), **{component.name: False})
        )
        for component in fields(Components)
    },
}
