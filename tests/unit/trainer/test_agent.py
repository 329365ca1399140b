"""What the trainer does for an agent: trials on simulated workers, for an agent at the other end of a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.fleet import Ended, Fleet
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.protocols import Region, WholeSpace
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.trust_region import TrustRegion
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.agent import Agent
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Trial
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Line, listen

PATIENCE = 180.0
BASELINE = Trial(Phase.BASELINE, {"vm.swappiness": "60"}, original=True, host="h1")


class AtWork:
    """A training by an agent, which is the test: `line` is its end of the connection."""

    def __init__(self, study: Study, fleet: Fleet, folder: Path, pool: ThreadPoolExecutor, region: Region) -> None:
        with listen(folder) as server:
            agent = Agent(folder)
            self.line = Line(server.accept()[0])
        agent.attend(fleet)
        self.training: Future[int] = pool.submit(agent.train, study, fleet, region, [BASELINE])

    def receive(self, kind: str) -> dict[str, Any]:
        message = self.line.receive()
        assert message["kind"] == kind
        return message

    def step(self, unit: float) -> tuple[list[tuple[str, int]], int]:
        """The step's trials, by host and value, and what is left."""
        self.line.send("point", point=[unit])
        answer = self.receive("trials")
        return [(trial["host"], trial["requested"]["vm.swappiness"]) for trial in answer["trials"]], answer["left"]


@pytest.fixture
def begin(
    new_fleet: Callable[..., Any], new_study: Callable[..., Study], tmp_path: Path
) -> Iterator[Callable[..., tuple[Any, AtWork]]]:
    """A fleet of hosts that answer, and an agent's training on them."""
    pool, begun = ThreadPoolExecutor(), list[AtWork]()

    def begin_training(*hosts: str, region: Region | None = None, budget: int = 5, **fields: Any) -> tuple[Any, AtWork]:
        fields |= {"training_config": {"total_timesteps": budget}}
        harness = new_fleet(*hosts, **fields)
        for name in hosts:
            harness.working(name, lambda trial: {"metric": 100.0})
        harness.wait_for_baselines().result(PATIENCE)
        begun.append(AtWork(new_study(**fields), harness.fleet, tmp_path, pool, region or WholeSpace()))
        return harness, begun[-1]

    yield begin_training
    for work in begun:
        work.line.close()
    pool.shutdown()


def values(trials: Sequence[Trial]) -> list[tuple[str, str]]:
    return [(trial.host, trial.proposed_by) for trial in trials if trial.phase == Phase.TRAIN]


def test_a_step_is_one_trial_on_each_host_within_the_budget(begin: Callable[..., tuple[Any, AtWork]]) -> None:
    harness, work = begin("h1", "h2", budget=3)
    began = work.receive("begin")
    assert (began["study"]["workload_name"], began["left"]) == ("small", 3)
    assert [trial["requested"] for trial in began["baselines"]] == [{"vm.swappiness": "60"}]
    assert work.step(0.5) == ([("h1", 50), ("h2", 50)], 1)
    assert work.step(1.0) == ([("h1", 100)], 0)
    assert sorted(values(harness.trials)) == [("h1", "the agent")] * 2 + [("h2", "the agent")]
    work.line.send("finish")
    assert work.training.result(PATIENCE) == 0


def test_it_may_end_the_training_early(begin: Callable[..., tuple[Any, AtWork]]) -> None:
    dummy, work = begin("h1", budget=3)
    work.receive("begin")
    work.step(0.5)
    work.line.send("finish")
    assert work.training.result(PATIENCE) == 2


def test_no_trial_runs_beyond_the_budget(begin: Callable[..., tuple[Any, AtWork]]) -> None:
    harness, work = begin("h1", budget=1)
    work.receive("begin")
    work.step(0.5)
    work.line.send("point", point=[1.0])
    assert work.training.result(PATIENCE) == 0
    assert len(values(harness.trials)) == 1


def test_controls_follow_its_trials(begin: Callable[..., tuple[Any, AtWork]]) -> None:
    harness, work = begin("h1", budget=4, control_interval=2)
    work.receive("begin")
    for unit in (0.1, 0.2, 0.3):
        work.step(unit)
    phases = [trial.phase for trial in harness.trials]
    assert phases[-4:] == [Phase.TRAIN, Phase.TRAIN, Phase.CONTROL, Phase.TRAIN]


def test_a_cautious_study_moves_its_candidates(begin: Callable[..., tuple[Any, AtWork]], new_study: Any) -> None:
    study = new_study()
    region = TrustRegion(study.space, {"vm.swappiness": "60"}, study.caution)
    dummy, work = begin("h1", region=region)
    work.receive("begin")
    assert work.step(1.0)[0] == [("h1", 65)], "5 % of the range at first"
    assert work.step(1.0)[0] == [("h1", 70)], "and further from what has done no harm"


def test_the_study_stops_when_it_closes_the_connection(begin: Callable[..., tuple[Any, AtWork]]) -> None:
    dummy, work = begin("h1")
    work.receive("begin")
    work.line.close()
    with pytest.raises(Ended, match="^the agent that chooses the candidates has ended$") as end:
        work.training.result(PATIENCE)
    assert end.value.stopped


def test_an_agent_that_does_not_listen_is_an_error(tmp_path: Path) -> None:
    listen(tmp_path).close()
    with pytest.raises(ConnectionRefusedError):
        Agent(tmp_path)
