"""Stores with synthetic studies of any size, for tests and benchmarks of the dashboard."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.autotune.kernel.plugins.plugin_utils._store.claim import claim
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import open_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.tables import (
    EventRow,
    HostRow,
    StudyRow,
    TrialRow,
)
from sqlalchemy import Engine
from sqlalchemy.orm import Session

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
METRIC = "throughput_mbit_per_second"
SPACE: list[dict[str, Any]] = [
    {"param": "net.ipv4.tcp_congestion_control", "type": "choice", "choices": ["reno", "bbr"], "description": "sender"},
    {"param": "net.core.somaxconn", "type": "int", "min": 128, "max": 65535, "log": True, "description": "backlog"},
    {"param": "vm.swappiness", "type": "int", "min": 0, "max": 100, "log": False, "description": "swapping"},
    {"param": "vm.dirty_ratio", "type": "int", "min": 5, "max": 60, "log": False, "description": "dirty memory"},
    {"param": "net.ipv4.tcp_autocorking", "type": "bool", "description": "small packets are joined"},
    {
        "param": "net.ipv4.tcp_rmem",
        "type": "vector",
        "elements": [{"value": 4096}, {"value": 131072}, {"min": 131072, "max": 33554432, "log": True}],
        "description": "receive buffer",
    },
]
OWN = {
    "net.ipv4.tcp_congestion_control": "reno",
    "net.core.somaxconn": "4096",
    "vm.swappiness": "60",
    "vm.dirty_ratio": "20",
    "net.ipv4.tcp_autocorking": "1",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
}
BEST = {
    "net.ipv4.tcp_congestion_control": "bbr",
    "net.core.somaxconn": 16384,
    "vm.swappiness": 12,
    "vm.dirty_ratio": 20,
    "net.ipv4.tcp_autocorking": 1,
    "net.ipv4.tcp_rmem": "4096 131072 33554432",
}
RESTS_ON: dict[str, dict[str, Any]] = {
    "net.ipv4.tcp_congestion_control": {
        "basis": "alone",
        "contribution": 38.0,
        "interval": [30.1, 46.4],
        "proposed_by": "the initial design (trial 7)",
    },
    "vm.swappiness": {
        "basis": "jointly",
        "together_with": ["net.core.somaxconn"],
        "contribution": 4.0,
        "interval": [1.2, 6.9],
        "proposed_by": "algorithm ppo, its policy (trial 41)",
    },
    "net.ipv4.tcp_rmem": {
        "basis": "alone",
        "contribution": 14.6,
        "interval": [9.0, 20.5],
        "proposed_by": "expert setting esnet-10g (trial 4)",
        "range_ends": [{"element": 2, "end": "highest", "bound": 33554432, "gain": 3.1, "wider": 134217728}],
        "risks": [
            {
                "warning": "every connection to this host receives at most this much per round trip",
                "quote": "max: maximal size of receive buffer allowed",
                "source": "https://docs.kernel.org/networking/ip-sysctl.html",
            }
        ],
    },
}
REASONS = {
    "improved": "Better in 8 of 8 pairs",
    "no_improvement": "The difference of +1.2 % is within the noise",
    "failed": "host01: the benchmark failed 3 times with the host's original values: exit code 127, iperf3: not found",
    "stopped": "stopped on the dashboard by 127.0.0.1",
}
ERRORS = (
    "the benchmark ended with exit code 1: connection refused",
    "the values could not be applied: net.ipv4.tcp_rmem: Invalid argument",
    "guard limit exceeded: 1 process was killed for want of memory",
)


def fill(
    url: str,
    *,
    trials: int = 200,
    hosts: int = 4,
    finished: bool = True,
    workload: str = "wan",
    verdict: str = "improved",
    seed: int = 1,
    started: datetime = START,
) -> int:
    """Add a study to the store and return its ID. trials: so far, if it is not finished."""
    engine = open_store(url)
    try:
        with Session(engine) as session:
            study = StudyRow(
                workload_name=workload,
                study=study_file(workload, trials),
                seed=seed,
                started=started,
                phase="train",
                trials_planned=trials if finished else trials * 2,
                left_seconds=None if finished else 3.0 * trials,
            )
            session.add(study)
            session.flush()
            rows = [_host(study.id, number) for number in range(1, hosts + 1)]
            session.add_all(rows)
            session.flush()
            generator = random.Random(seed)
            made = [trial_row(study.id, rows, number, trials, generator, started) for number in range(1, trials + 1)]
            session.add_all(made)
            session.add_all(_events(study.id, rows, started))
            if finished:
                _finish(study, rows, made, verdict)
            else:
                now = max([started, *(trial.finished for trial in made)])
                for place, row in enumerate(rows):
                    row.doing, row.since = f"training {place + 1}", now
            session.commit()
            return study.id
    finally:
        engine.dispose()


def study_file(workload: str, trials: int) -> dict[str, Any]:
    return {
        "workload_name": workload,
        "reward_metric": METRIC,
        "direction": "maximise",
        "benchmark_command": "python3 benchmark.py",
        "action_space": SPACE,
        "state_space": [{"metric": "cpu_usage", "description": ""}],
        "training_config": {"total_timesteps": trials, "max_steps_per_episode": 10, "benchmark_timeout": 30},
        "verification": {"candidates": 3, "pairs": 8, "min_improvement": 1.0, "confidence": 0.95},
    }


def _host(study_id: int, number: int) -> HostRow:
    facts = {"kernel": "6.1.0-28-amd64", "boot_id": f"boot-{number}", "cpus": 8, "memory_bytes": 2**34, "values": OWN}
    return HostRow(study_id=study_id, name=f"host{number:02d}", facts=facts, original_values=dict(OWN))


def phase_of(number: int, of: int) -> str:
    """The phase of a trial in a study of that size."""
    if number <= max(of // 50, 2):
        return "baseline"
    if number > of - max(of // 10, 2):
        return "verify"
    if number > of - max(of // 8, 3):
        return "race"
    return "control" if number % 11 == 0 else "train"


def trial_row(
    study_id: int, hosts: list[HostRow], number: int, of: int, generator: random.Random, started: datetime = START
) -> TrialRow:
    """A trial of a learner that improves; one in twenty fails."""
    phase, host = phase_of(number, of), hosts[number % len(hosts)]
    own = phase in ("baseline", "control") or (phase == "verify" and number % 2 == 0)
    requested: dict[str, Any] = dict(OWN) if own else _candidate(generator, number / of)
    error = generator.choice(ERRORS) if not own and generator.random() < 0.05 else None
    performance = None if error else generator.gauss(0.0, 0.03) + (0.0 if own else _gain(requested))
    stability = None if error else min(1.0, max(0.0, generator.gauss(0.9, 0.06)))
    metric = None if performance is None else 100.0 * math.exp(performance)
    return TrialRow(
        study_id=study_id,
        host_id=host.id,
        id=number,
        phase=phase,
        pair=number // 2 if phase == "verify" else None,
        original=own,
        requested=requested,
        applied={} if error else {name: str(value) for name, value in requested.items()},
        state="failed" if error else "complete",
        metric=metric,
        streamed=[] if metric is None else [metric * 0.97, metric * 1.02],
        metrics={} if metric is None else {METRIC: metric, "latency_ms": 80.0},
        performance=performance,
        stability=stability,
        stability_parts={} if stability is None else {"variation": stability},
        reward=-2.0 if performance is None else 0.9 * performance + 0.1 * (stability or 0.0),
        uncertainty=0.0,
        observations={"cpu_usage": round(generator.uniform(20, 60), 2)},
        health={} if error else {"retransmits": 0.01},
        seconds={"apply": 0.35, "benchmark": 5.0, "sample": 0.02, "wait": 0.01},
        error=error,
        finished=started + timedelta(seconds=6.0 * number / len(hosts)),
    )


def _candidate(generator: random.Random, progress: float) -> dict[str, Any]:
    def drawn(best: float, low: float, high: float) -> int:
        spread = (high - low) * 0.5 * (1.1 - progress)
        return round(min(high, max(low, generator.gauss(best, spread))))

    return {
        "net.ipv4.tcp_congestion_control": "bbr" if generator.random() < 0.5 + progress / 2 else "reno",
        "net.core.somaxconn": drawn(16384, 128, 65535),
        "vm.swappiness": drawn(12, 0, 100),
        "vm.dirty_ratio": drawn(20, 5, 60),
        "net.ipv4.tcp_autocorking": generator.randrange(2),
        "net.ipv4.tcp_rmem": f"4096 131072 {drawn(33554432, 131072, 33554432)}",
    }


def _gain(requested: dict[str, Any]) -> float:
    rmem = int(str(requested["net.ipv4.tcp_rmem"]).split()[2]) / 33554432
    bbr = 0.35 if requested["net.ipv4.tcp_congestion_control"] == "bbr" else 0.0
    return float(bbr + 0.3 * rmem - 0.1 - 0.15 * abs(float(requested["vm.swappiness"]) - 12) / 100)


def _events(study_id: int, hosts: list[HostRow], started: datetime) -> list[EventRow]:
    last = hosts[-1].name if hosts else None
    texts = [(None, "the trust region has shrunk"), (last, "lost: no answer for 15 seconds; it came back")]
    return [
        EventRow(study_id=study_id, at=started + timedelta(seconds=60.0 * place), host=host, text=text)
        for place, (host, text) in enumerate(texts, 1)
    ]


def _finish(study: StudyRow, hosts: list[HostRow], rows: list[TrialRow], verdict: str) -> None:
    study.phase, study.verdict, study.reason = "ended", verdict, REASONS[verdict]
    study.finished = rows[-1].finished + timedelta(seconds=3) if rows else study.started
    for host in hosts:
        host.restored = True
    improved = verdict == "improved"
    values = dict(OWN)
    study.result = {
        "format": 2,
        "workload_name": study.workload_name,
        "verdict": verdict,
        "proved": improved,
        "reason": study.reason,
        "metric": METRIC,
        "direction": "maximise",
        "best_config": BEST if improved else None,
        "best_reward": 0.73 if improved else None,
        "improvement": 58.0 if improved else None,
        "interval": [51.2, 66.0] if improved else None,
        "p_value": 0.0000026 if improved else None,
        "confidence": 0.95,
        "pairs": 8 if improved else 0,
        "baseline": {"metric": 100.0, "original_values": values, "cv_percent": 3.0},
        "best": {"metric": 158.0, "stability": {"score": 0.91, "parts": {"variation": 0.91}}} if improved else None,
        "per_host": {
            row.name: {
                "original_values": values,
                "baseline_metric": 100.0,
                "best_metric": 158.0 if improved else None,
                "improvement": 58.0 if improved else None,
                "pairs": 2,
                "trials": sum(trial.host_id == row.id for trial in rows),
                "failures": sum(trial.host_id == row.id and bool(trial.error) for trial in rows),
                "kernel": "6.1.0-28-amd64",
            }
            for row in hosts
        },
        "evidence": [
            {
                "host": hosts[pair % len(hosts)].name,
                "pair": pair,
                "first": "baseline" if pair % 2 else "candidate",
                "baseline": 99.0 + pair / 2,
                "candidate": 154.0 + pair,
                "log_ratio": math.log((154.0 + pair) / (99.0 + pair / 2)),
            }
            for pair in range(1, 9)
        ]
        if improved
        else [],
        "trials": {"failed": sum(bool(row.error) for row in rows), "total": len(rows)},
        "not_needed": 12 if verdict in ("improved", "no_improvement") else 0,
        "seconds": {"total": 1200.0, "apply": 60.0, "connect": 1.0, "benchmark": 1000.0, "learn": 3.0},
        "parameters": [
            {
                "param": name,
                "description": next(entry["description"] for entry in SPACE if entry["param"] == name),
                "original": {row.name: OWN[name] for row in hosts},
                "learned": value,
                **RESTS_ON.get(name, {}),
            }
            for name, value in BEST.items()
        ]
        if improved
        else [],
        "seed": study.seed,
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "started": study.started.isoformat(),
        "finished": study.finished.isoformat(),
        "study_id": study.id,
        "study": study.study,
    }


class Running:
    """A running study; each call writes what a trainer would. Use with `running()`."""

    def __init__(self, engine: Engine, study_id: int, of: int) -> None:
        self._engine, self.study_id, self._of = engine, study_id, of
        self._generator = random.Random(study_id)
        with Session(engine, expire_on_commit=False) as session:
            self._hosts = list(session.query(HostRow).filter_by(study_id=study_id).order_by(HostRow.id))
            self.number = session.query(TrialRow).filter_by(study_id=study_id).count()

    def evaluate(self) -> int:
        """Finish one more trial now; returns its ID."""
        self.number += 1
        row = trial_row(self.study_id, self._hosts, self.number, self._of, self._generator)
        row.phase, row.finished = "train", datetime.now(UTC)
        with Session(self._engine) as session:
            session.add(row)
            session.get_one(HostRow, row.host_id).doing = f"training {self.number}"
            session.commit()
        return self.number

    def add_event(self, text: str, host: str | None = None) -> None:
        with Session(self._engine) as session:
            session.add(EventRow(study_id=self.study_id, at=datetime.now(UTC), host=host, text=text))
            session.commit()

    def finish(self, verdict: str = "improved", *, leave_hosts: bool = True) -> None:
        """End the study; unless leave_hosts, its hosts are still active."""
        with Session(self._engine) as session:
            study = session.get_one(StudyRow, self.study_id)
            hosts = session.query(HostRow).filter_by(study_id=self.study_id).order_by(HostRow.id).all()
            rows = session.query(TrialRow).filter_by(study_id=self.study_id).order_by(TrialRow.id).all()
            _finish(study, hosts, rows, verdict)
            study.finished = datetime.now(UTC)
            for host in hosts:
                host.doing = None if leave_hosts else "leaves"
                host.restored = True if leave_hosts else None
            session.commit()

    def leave(self, *restored: bool) -> None:
        """The hosts report in turn whether their original values are restored, and leave."""
        with Session(self._engine) as session:
            for kept, fine in zip(self._hosts, restored, strict=True):
                host = session.get_one(HostRow, kept.id)
                host.doing, host.restored = None, fine
            session.commit()


@contextmanager
def running(url: str, *, trials: int = 20, hosts: int = 2, of: int = 200) -> Iterator[Running]:
    """A running study with so many trials so far."""
    started = datetime.now(UTC) - timedelta(seconds=60 + 6.0 * trials / hosts)
    study_id = fill(url, trials=trials, hosts=hosts, finished=False, started=started)
    with continued(url, study_id, of) as study:
        yield study


@contextmanager
def continued(url: str, study_id: int, of: int = 200) -> Iterator[Running]:
    """An existing study that continues."""
    with claimed(url, study_id) as engine:
        yield Running(engine, study_id, of)


@contextmanager
def claimed(url: str, *study_ids: int) -> Iterator[Engine]:
    """Studies with a trainer that is alive but does nothing."""
    engine = open_store(url)
    held = [claim(engine, study_id) for study_id in study_ids]
    try:
        yield engine
    finally:
        for one in filter(None, held):
            one.release()
        engine.dispose()
