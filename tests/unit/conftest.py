"""Studies, trials, and a fleet with simulated workers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.conversation import converse
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.fleet import Fleet
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.replay_log import ReplayLog
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.trial_queue import Ticket
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line

PATIENCE = 180.0  # seconds until a test that waits for something fails

Measure = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def replace_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces functions of a module of the standard library, such as `os`, for one of our modules alone.

    A thread that an earlier test has left behind keeps the real ones.
    """

    def replace(module: Any, name: str, **functions: Any) -> None:
        monkeypatch.setattr(module, name, SimpleNamespace(**{**vars(getattr(module, name)), **functions}))

    return replace


@pytest.fixture
def new_study() -> Callable[..., Study]:
    """Creates a study of vm.swappiness; its arguments replace or add fields."""

    def make(**fields: Any) -> Study:
        content = {
            "workload_name": "small",
            "reward_metric": "throughput",
            "benchmark_command": "true",
            "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100}],
            "baseline_trials": 2,
        }
        return Study.model_validate({**content, **fields})

    return make


@pytest.fixture
def evaluated() -> Callable[..., Trial]:
    """Creates a trial of a value of vm.swappiness; performance: None if it failed."""

    def make(value: int, performance: float | None = 0.0, *, phase: str = "train", number: int = 1) -> Trial:
        score = Score(performance, None, -2.0 if performance is None else performance)
        trial = Trial(
            Phase(phase), {"vm.swappiness": value}, host="h1", id=number, score=score, finished=datetime.now(UTC)
        )
        if performance is None:
            return trial.fail("it broke")
        return replace(trial, state=State.COMPLETE, metric=100.0)

    return make


def measured(throughput: float, p99: float | None = None, **fields: Any) -> Trial:
    """A complete trial of the training."""
    metrics = {"throughput": throughput} | ({} if p99 is None else {"p99": p99})
    return Trial(
        Phase.TRAIN, state=State.COMPLETE, metric=throughput, metrics=metrics, seconds={"benchmark": 10.0}, **fields
    )


def host_of(study: Study, *throughputs: float, name: str = "h1") -> Host:
    """A host that has measured its original values this often."""
    host = Host(name, {"kernel": "6.1.0"}, {"vm.swappiness": "60"})
    for throughput in throughputs:
        phase = Phase.BASELINE if host.trial_count < 3 else Phase.CONTROL
        host.add_trial(study, replace(measured(throughput, 5.0), phase=phase, original=True))
    return host


def facts(**fields: Any) -> dict[str, Any]:
    """The facts of a host."""
    default = {"kernel": "6.1.0", "boot_id": "", "network_namespace": 1, "cpus": 2, "memory_bytes": 2**30}
    return {**default, "values": {"vm.swappiness": "60"}, **fields}


class Worker:
    """A worker that sends one message at a time, as the test says."""

    def __init__(self, name: str, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self.name, self.line = name, Line(connection)
        self._trial: dict[str, Any] = {}

    def hello(self) -> Worker:
        self.line.send("hello", host=self.name)
        return self

    def ready(self, **fields: Any) -> Worker:
        self.line.send("ready", host=self.name, facts=facts(**{"boot_id": self.name, **fields}))
        return self

    def receive(self, kind: str) -> dict[str, Any]:
        """The next message, which must be of this kind."""
        message = self.line.receive()
        assert message["kind"] == kind, message
        return message

    def answer(self, metric: float = 100.0, **fields: Any) -> dict[str, Any]:
        """Answer the last trial; returns the progress that the trainer sends."""
        self.send_answer(metric=metric, **fields)
        return self.receive("progress")

    def trial(self) -> dict[str, Any]:
        """The next message, which must be a trial, as JSON."""
        self._trial = self.receive("trial")["trial"]
        return self._trial

    def send_answer(self, **fields: Any) -> None:
        state = "failed" if fields.get("error") else "complete"
        self.line.send("trial", trial={**self._trial, "state": state, **fields})

    def baseline(self, metric: float = 100.0, count: int = 2, **fields: Any) -> Worker:
        """Send everything from hello to the last trial of the baseline."""
        self.hello().ready(**fields)
        for dummy in range(count):
            assert self.trial()["phase"] == "baseline"
            self.answer(metric)
        return self

    def work(self, measure: Measure) -> dict[str, Any]:
        """Answer every trial with the result of `measure` until the study ends; returns the last message."""
        while True:
            message = self.line.receive()
            if message["kind"] == "trial":
                self._trial = message["trial"]
                self.send_answer(**measure(self._trial))
            elif message["kind"] in ("end", "refused"):
                self.leave("the study is over", ending="original values restored and verified")
                return message

    def leave(
        self, reason: str = "it had to go", *, stopped: bool = False, ending: str = "", restored: bool = True
    ) -> None:
        """Without an `ending`, as if the process had died before its last message."""
        with suppress(Disconnected):  # the trainer closes the connection of a refused worker
            self.line.send("farewell", reason=reason, stopped=stopped)
            if ending:
                self.line.send("left", ending=ending, restored=restored)
        self.line.close()


class FleetHarness:
    """A fleet, its workers, and as its listener a record of what it reported. fails: exceptions to raise, by method."""

    def __init__(
        self,
        study: Study,
        expected: list[str],
        pool: ThreadPoolExecutor,
        replay: ReplayLog | None = None,
        here: tuple[str, int] | None = None,
    ) -> None:
        self.ready: list[str] = []
        self.lost: list[tuple[str, str]] = []
        self.trials: list[Trial] = []
        self.notices: list[tuple[str, str]] = []
        self.activities: list[tuple[str, str | None]] = []
        self.endings: list[tuple[str, str, bool]] = []
        self.fails: dict[str, Exception] = {}
        self._workers: list[Worker] = []
        self._pool = pool
        self.fleet = Fleet(study, expected, self, replay=replay, here=here)

    def worker(self, name: str) -> Worker:
        """A worker that has connected but sent nothing yet."""
        ours, theirs = socket.socketpair()
        threading.Thread(target=converse, args=(self.fleet, theirs), daemon=True).start()
        # Kept, because the connection closes when the worker is garbage-collected.
        self._workers.append(Worker(name, ours))
        return self._workers[-1]

    def working(self, name: str, measure: Measure, **fields: Any) -> Future[dict[str, Any]]:
        """A worker that answers all its trials, in a thread."""
        return self._pool.submit(self.worker(name).hello().ready(**fields).work, measure)

    def measure(self, *pending: Trial) -> Future[list[Trial]]:
        return self._pool.submit(self.fleet.measure, pending)

    def wait_for_baselines(self) -> Future[Mapping[str, Host]]:
        return self._pool.submit(self.fleet.wait_for_baselines)

    def end(self, result: dict[str, Any]) -> Future[None]:
        return self._pool.submit(self.fleet.end, result, PATIENCE)

    def wait_for_any(self, tickets: Sequence[Ticket]) -> Future[None]:
        return self._pool.submit(self.fleet.wait_for_any, tickets)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until another thread makes the condition true."""
        limit = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < limit
            time.sleep(0.005)

    def on_host(self, host: Host) -> None:
        self._fail("on_host")
        self.ready.append(host.name)

    def on_lost(self, name: str, reason: str) -> None:
        self._fail("on_lost")
        self.lost.append((name, reason))

    def on_trial(self, trial: Trial) -> dict[str, Any]:
        self._fail("on_trial")
        self.trials.append(trial)
        return {"number": trial.id}

    def on_notice(self, name: str, text: str) -> None:
        self.notices.append((name, text))

    def on_activity(self, name: str, activity: str | None) -> None:
        self.activities.append((name, activity))

    def on_ending(self, name: str, ending: str, restored: bool) -> None:
        self.endings.append((name, ending, restored))

    def _fail(self, method: str) -> None:
        if method in self.fails:
            raise self.fails[method]


@pytest.fixture
def new_fleet(new_study: Callable[..., Study]) -> Iterator[Callable[..., FleetHarness]]:
    """Creates a fleet that expects the named hosts, for a study with the given fields."""
    created: list[FleetHarness] = []
    pool = ThreadPoolExecutor(16)

    def make(
        *expected: str, replay: ReplayLog | None = None, here: tuple[str, int] | None = None, **fields: Any
    ) -> FleetHarness:
        created.append(FleetHarness(new_study(**fields), list(expected), pool, replay, here))
        return created[-1]

    yield make
    for harness in created:
        harness.fleet.stop("the test is over")
        harness.fleet.end({}, patience=0.0)
    pool.shutdown(wait=True, cancel_futures=True)
