"""Studies to run, and workers that are threads here instead of hosts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.conversation import converse
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.fleet import Fleet
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.host import Host
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.jobs import Ticket
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.listener import Listener
from ansible_collections.autotune.kernel.plugins.plugin_utils._fleet.replay_log import ReplayLog
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import Phase, Score, State, Trial
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line

PATIENCE = 180.0  # seconds until a test that waits for ever is one that fails

Measure = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def new_study() -> Callable[..., Study]:
    """A study of vm.swappiness (and more), with any field replaced."""

    def make(**fields: Any) -> Study:
        content = {
            "workload_name": "small",
            "reward_metric": "throughput",
            "benchmark_command": "true",
            "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100}],
            "baseline_evaluations": 2,
        }
        return Study.model_validate({**content, **fields})

    return make


@pytest.fixture
def evaluated() -> Callable[..., Trial]:
    """An evaluation of one value of vm.swappiness, with a metric (or None, when it failed)."""

    def make(value: int, performance: float | None = 0.0, *, phase: str = "train", number: int = 1) -> Trial:
        score = Score(performance, None, -2.0 if performance is None else performance)
        trial = Trial(
            Phase(phase), {"vm.swappiness": value}, host="h1", id=number, score=score, finished=datetime.now(UTC)
        )
        if performance is None:
            return trial.fail("it broke")
        return replace(trial, state=State.COMPLETE, metric=100.0)

    return make


def facts(**fields: Any) -> dict[str, Any]:
    """What a host tells of itself; by default every host is a machine of its own."""
    own = {"kernel": "6.1.0", "boot_id": "", "network_namespace": 1, "cpus": 2, "memory_bytes": 2**30}
    return {**own, "values": {"vm.swappiness": "60"}, **fields}


class Worker:
    """A host's side of the conversation, word by word."""

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
        """Answer the last trial; returns the progress that comes back."""
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
        """From hello to the last measurement of the baseline."""
        self.hello().ready(**fields)
        for dummy in range(count):
            assert self.trial()["phase"] == "baseline"
            self.answer(metric)
        return self

    def work(self, measure: Measure) -> dict[str, Any]:
        """Answer every trial with `measure` of it until the study ends; returns the last message."""
        while True:
            message = self.line.receive()
            if message["kind"] == "trial":
                self._trial = message["trial"]
                self.send_answer(**measure(self._trial))
            elif message["kind"] in ("end", "refused"):
                self.leave("the study is over", ending="its own values are back, verified")
                return message

    def leave(
        self, reason: str = "it had to go", *, stopped: bool = False, ending: str = "", restored: bool = True
    ) -> None:
        """Without an `ending` its process dies before it can say what its host has."""
        with suppress(Disconnected):  # a refused worker is not listened to
            self.line.send("farewell", reason=reason, stopped=stopped)
            if ending:
                self.line.send("left", ending=ending, restored=restored)
        self.line.close()


class Room:
    """A fleet, what it reported, and workers for it."""

    def __init__(
        self,
        study: Study,
        expected: list[str],
        pool: ThreadPoolExecutor,
        past: ReplayLog | None = None,
        here: tuple[str, int] | None = None,
    ) -> None:
        self.arrived: list[str] = []
        self.lost: list[tuple[str, str]] = []
        self.evaluations: list[Trial] = []
        self.news: list[tuple[str, str]] = []
        self.doing: list[tuple[str, str | None]] = []
        self.endings: list[tuple[str, str, bool]] = []
        self.fails: dict[str, Exception] = {}
        self._workers: list[Worker] = []
        self._pool = pool
        self.fleet = Fleet(
            study,
            expected,
            Listener(
                on_host=self._on_host,
                on_lost=self._on_lost,
                on_evaluation=self._on_evaluation,
                on_news=lambda name, text: self.news.append((name, text)),
                on_doing=lambda name, doing: self.doing.append((name, doing)),
                on_ending=lambda *ending: self.endings.append(ending),
            ),
            past=past,
            here=here,
        )

    def worker(self, name: str) -> Worker:
        """A worker that is connected and has said nothing yet."""
        ours, theirs = socket.socketpair()
        threading.Thread(target=converse, args=(self.fleet, theirs), daemon=True).start()
        # Kept, for a worker that is forgotten closes its connection.
        self._workers.append(Worker(name, ours))
        return self._workers[-1]

    def working(self, name: str, measure: Measure, **fields: Any) -> Future[dict[str, Any]]:
        """A worker that does all it is asked."""
        return self._pool.submit(self.worker(name).hello().ready(**fields).work, measure)

    def measure(self, *jobs: Trial) -> Future[list[Trial]]:
        return self._pool.submit(self.fleet.measure, jobs)

    def wait_for_baselines(self) -> Future[Mapping[str, Host]]:
        return self._pool.submit(self.fleet.wait_for_baselines)

    def end(self, result: dict[str, Any]) -> Future[None]:
        return self._pool.submit(self.fleet.end, result, PATIENCE)

    def wait_for_any(self, tickets: Sequence[Ticket]) -> Future[None]:
        return self._pool.submit(self.fleet.wait_for_any, tickets)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what another thread is about to do."""
        limit = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < limit
            time.sleep(0.005)

    def _on_host(self, host: Any) -> None:
        self._fail("on_host")
        self.arrived.append(host.name)

    def _on_lost(self, name: str, reason: str) -> None:
        self._fail("on_lost")
        self.lost.append((name, reason))

    def _on_evaluation(self, evaluation: Trial) -> dict[str, Any]:
        self._fail("on_evaluation")
        self.evaluations.append(evaluation)
        return {"number": evaluation.id}

    def _fail(self, where: str) -> None:
        if where in self.fails:
            raise self.fails[where]


@pytest.fixture
def new_room(new_study: Callable[..., Study]) -> Iterator[Callable[..., Room]]:
    """A fleet that awaits the named hosts, for a study with these fields."""
    rooms: list[Room] = []
    pool = ThreadPoolExecutor(16)

    def make(*expected: str, past: ReplayLog | None = None, here: tuple[str, int] | None = None, **fields: Any) -> Room:
        rooms.append(Room(new_study(**fields), list(expected), pool, past, here))
        return rooms[-1]

    yield make
    for room in rooms:
        room.fleet.stop("the test is over")
        room.fleet.end({}, patience=0.0)
    pool.shutdown(wait=True, cancel_futures=True)
