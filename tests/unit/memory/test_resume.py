# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs of the trainer that are interrupted and resumed, with a thread in place of the host.

The host's measurements depend only on the trial, so an interrupted run must produce the same rows as any other.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome import result as outcome
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.claim import claim
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.trainer import run_trainer
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line, connect, listen
from sqlalchemy import text

PATIENCE = 120.0
SPACE = [
    {"param": "vm.swappiness", "min": 0, "max": 100},
    {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
]
OWN = {"vm.swappiness": "60", "net.ipv4.tcp_congestion_control": "reno"}


class Host:
    """The metric depends only on the phase, the values and how often they were measured."""

    def __init__(self, name: str = "h1", *, boot: str = "", gone_after: int | None = None) -> None:
        self.name, self.boot, self.gone_after = name, boot or f"boot of {name}", gone_after
        self.jobs: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.result: dict[str, Any] = {}

    def measure(self, job: dict[str, Any], seen: Counter[str]) -> dict[str, Any]:
        values = job["requested"]
        key = json.dumps([job["phase"], sorted((name, str(value)) for name, value in values.items())])
        seen[key] += 1
        dice = random.Random(hashlib.sha256(f"{key} {seen[key]}".encode()).digest())
        worth = 100 * (1.3 - int(values["vm.swappiness"]) / 200)
        worth *= 1.1 if values["net.ipv4.tcp_congestion_control"] == "bbr" else 1.0
        return {
            "metric": worth * (1 + dice.gauss(0, 0.01)),
            "applied": {name: str(value) for name, value in values.items()},
            "observations": {"cpu_usage": 40.0},
            "seconds": {"benchmark": 1.0},
        }

    def work(self, line: Line, seen: Counter[str]) -> None:
        """From hello to the end; `seen` has what was measured of each job before."""
        line.send("hello", host=self.name)
        facts = {"kernel": "6.1.0", "boot_id": self.boot, "network_namespace": 1, "cpus": 2, "memory_bytes": 2**30}
        line.send("ready", host=self.name, facts={**facts, "values": OWN})
        for message in line:
            if message["kind"] == "notice":
                self.notices.append(message["text"])
            if message["kind"] == "trial":
                if len(self.jobs) == self.gone_after:
                    line.send("farewell", reason="stopped by SIGINT", stopped=True)
                    line.close()
                    return
                self.jobs.append(message["trial"])
                trial = message["trial"]
                line.send("trial", trial={**trial, "state": "complete", **self.measure(trial, seen)})
            elif message["kind"] in ("end", "refused"):
                self.result = message.get("result", message)
                line.close()
                return
        raise Disconnected(self.name)


@pytest.fixture
def config(new_study: Callable[..., Study], tmp_path: Path) -> dict[str, Any]:
    study = new_study(
        algorithm="random",  # quick, and no other phase cares
        action_space=SPACE,
        training_config={"total_timesteps": 16},
        verification={"candidates": 2, "pairs": 6},
        state_space=[{"metric": "cpu_usage"}],
        control_interval=5,
    )
    return {
        "study": study.model_dump(mode="json", exclude_none=True),
        "hosts": ["h1"],
        "store": f"sqlite:///{tmp_path / 'store.sqlite'}",
        "output": str(tmp_path / "learned" / "small"),
        "seed": 7,
        "playbook_pid": os.getpid(),
        "versions": {},
        "files": {"sensor.py": "digest"},
    }


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(config: dict[str, Any], tmp_path: Path) -> Iterator[Run]:
    """Run the trainer with these hosts to its end; returns end.json."""
    pool = ThreadPoolExecutor(4)
    count = 0

    def start(*hosts: Host, **changes: Any) -> dict[str, Any]:
        nonlocal count
        count += 1
        folder = tmp_path / f"run{count}"
        folder.mkdir()
        own = config | changes
        (folder / "trainer.json").write_text(json.dumps(own))
        seen = {host.name: measured_on(own["store"], host.name) if own.get("resume") else Counter() for host in hosts}
        held = pool.submit(run_trainer, folder, listen(folder))
        works = [pool.submit(host.work, connect(folder), seen[host.name]) for host in hosts]
        held.result(PATIENCE)
        for work in works:
            work.result(PATIENCE)
        assert not (folder / "trainer.json").exists()  # the store's URL is in it
        end: dict[str, Any] = json.loads((folder / "end.json").read_text())
        return end

    yield start
    pool.shutdown()


def measured_on(url: str, name: str) -> Counter[str]:
    """How often a host has measured each trial in the latest study of the store."""
    engine = store.open_store(url)
    seen: Counter[str] = Counter()
    for study in store.studies(engine)[:1]:
        names = {host.id: host.name for host in store.hosts(engine, study.id)}
        for row in store.trials(engine, study.id):
            if names[row.host_id] == name:
                seen[json.dumps([row.phase, sorted((key, str(value)) for key, value in row.requested.items())])] += 1
    engine.dispose()
    return seen


def rows(url: str, study_id: int = 1) -> list[tuple[Any, ...]]:
    """The columns that must not depend on interruptions."""
    engine = store.open_store(url)
    found = [
        (row.id, row.phase, row.pair, row.requested, row.metric, row.performance, row.reward)
        for row in store.trials(engine, study_id)
    ]
    engine.dispose()
    return found


def cut_off(url: str, after: int) -> None:
    """Leave the study as if its trainer had been killed after that many trials."""
    engine = store.open_store(url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM trials WHERE id > :after"), {"after": after})
        connection.execute(text("UPDATE studies SET verdict = NULL, result = NULL, reason = NULL, finished = NULL"))
    engine.dispose()


def compared(result: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that must not depend on interruptions."""
    other = ("seconds", "finished", "started", "store")
    return {name: value for name, value in result.items() if name not in other}


@pytest.mark.slow
def test_a_study_killed_at_any_trial_resumes_to_the_same_result(
    run: Run, config: dict[str, Any], tmp_path: Path
) -> None:
    whole = run(Host())["result"]
    expected = rows(config["store"])
    phases = [row[1] for row in expected]
    assert {"baseline", "train", "control", "race", "verify", "ablate"} <= set(phases)
    moments = {0, 1, len(expected) - 1, *(phases.index(phase) + 1 for phase in ("race", "verify", "ablate"))}
    moments |= {random.randrange(len(expected)) for dummy in range(2)}
    for moment in sorted(moments):
        cut_off(config["store"], moment)
        host = Host()

        again = run(host, resume=True, seed=None)["result"]

        assert rows(config["store"]) == expected, f"after {moment} trials"
        assert compared(again) == compared(whole), f"after {moment} trials"
        assert len(host.jobs) == len(expected) - moment
        assert host.notices[0] == f"resuming study 1 with {moment} finished trials and seed 7"


@pytest.mark.slow
def test_the_learner_continues_with_the_same_candidates(run: Run, config: dict[str, Any]) -> None:
    study = {**config["study"], "algorithm": "ppo"}
    run(Host(), study=study)
    expected = rows(config["store"])
    trained = [number for number, row in enumerate(expected, 1) if row[1] == "train"]
    for moment in (trained[0], random.choice(trained[1:-1])):
        cut_off(config["store"], moment)

        run(Host(), study=study, resume=True)

        assert rows(config["store"]) == expected, f"after {moment} trials"


@pytest.mark.takes_seconds
def test_a_study_can_be_stopped_and_resumed_many_times(run: Run, config: dict[str, Any]) -> None:
    ends = [run(Host(gone_after=9))["result"]]
    while ends[-1]["verdict"] == "stopped":
        ends.append(run(Host(gone_after=9), resume=True)["result"])
    assert len(ends) > 4
    assert ends[-1]["verdict"] == "improved"
    interrupted = rows(config["store"])

    assert run(Host())["result"]["verdict"] == "improved"
    assert rows(config["store"], 2) == interrupted
    assert ends[-1]["trials"]["total"] == len(interrupted)
    engine = store.open_store(config["store"])
    assert [row.verdict for row in store.studies(engine)] == ["improved", "improved"]
    assert [row.text for row in store.events(engine, 1)].count("resumed") == len(ends) - 1
    assert outcome.read(Path(config["output"])).study_id == 2


@pytest.mark.takes_seconds
def test_an_absent_host_keeps_its_trials_and_others_run_the_rest(run: Run, config: dict[str, Any]) -> None:
    first = run(Host("h1", gone_after=5), Host("h2"), hosts=["h1", "h2"])["result"]
    assert first["verdict"] == "stopped"
    before = rows(config["store"])
    result = run(Host("h2"), hosts=["h2"], resume=True)["result"]
    assert result["verdict"] == "improved"
    assert rows(config["store"])[: len(before)] == before
    assert result["trials"]["train"] == 16
    assert set(result["per_host"]) == {"h1", "h2"}
    assert result["per_host"]["h1"]["trials"] == first["per_host"]["h1"]["trials"]


@pytest.mark.takes_seconds
def test_a_host_that_comes_to_a_proof_that_was_interrupted_waits_for_the_next_phase(
    run: Run, config: dict[str, Any]
) -> None:
    """With it, the order of the pairs would be another one, and stored runs would be taken for those of that."""
    run(Host("h1"))
    phases = [row[1] for row in rows(config["store"])]
    cut_off(config["store"], phases.index("verify") + 5)
    before = rows(config["store"])
    late = Host("h2")
    result = run(Host("h1"), late, hosts=["h1", "h2"], resume=True)["result"]
    assert result["verdict"] == "improved"
    assert rows(config["store"])[: len(before)] == before
    assert {job["phase"] for job in late.jobs} & {"race", "verify"} == set()
    assert "ablate" in {job["phase"] for job in late.jobs}


@pytest.mark.takes_seconds
def test_a_rebooted_host_measures_its_baseline_again(run: Run, config: dict[str, Any]) -> None:
    run(Host(gone_after=8))
    host = Host(boot="b2")
    result = run(host, resume=True)["result"]
    assert [job["phase"] for job in host.jobs[:3]] == ["baseline", "baseline", "train"]
    assert result["trials"]["baseline"] == 4
    assert "h1: rebooted or changed since the interruption: its baseline is remeasured" in host.notices


@pytest.mark.takes_seconds
def test_a_larger_budget_resumes_the_training(run: Run, config: dict[str, Any]) -> None:
    run(Host(gone_after=26))
    before = rows(config["store"])
    assert before[-1][1] in ("race", "verify")
    more = {**config["study"], "training_config": {"total_timesteps": 20}}
    result = run(Host(), resume=True, study=more)["result"]
    assert result["verdict"] == "improved"
    assert result["trials"]["train"] == 20
    found = rows(config["store"])
    assert found[: len(before)] == before
    assert found[len(before)][1] in ("train", "control")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"study": {"direction": "minimise"}}, 'direction was "maximise" and is "minimise"'),
        ({"study": {"training_config": {"total_timesteps": 8}}}, "total_timesteps was 16 and is 8"),
        ({"files": {"sensor.py": "another"}}, "sensor.py has changed"),
        ({"resume": 9}, "this store has no study 9 of small; it has 1"),
        ({"study": {"workload_name": "other"}}, "this store has no interrupted study of other; leave out resume"),
    ],
)
def test_an_incompatible_study_is_refused_with_the_difference(
    run: Run, config: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    run(Host(gone_after=1))
    before = rows(config["store"])
    own = {**changes, "study": {**config["study"], **changes.get("study", {})}}
    error = run(**{"resume": True, **own})["error"]
    assert message in error
    assert "\n" not in error
    assert rows(config["store"]) == before


def test_a_finished_or_running_study_cannot_be_resumed(run: Run, config: dict[str, Any]) -> None:
    run(Host(gone_after=1))
    engine = store.open_store(config["store"])
    held = claim(engine, 1)
    assert held is not None
    assert run(resume=True)["error"] == "study 1 is still running; stop it first or wait until it has finished"
    held.release()
    with engine.begin() as connection:
        connection.execute(text("UPDATE studies SET verdict = 'improved'"))
    assert run(resume=1)["error"] == "study 1 has finished (improved) and cannot be resumed"
    assert "study 1 has finished (improved); leave out resume" in run(resume=True)["error"]


@pytest.mark.takes_seconds
def test_warm_start_does_not_count_against_the_budget(run: Run, config: dict[str, Any]) -> None:
    run(Host())
    engine = store.open_store(config["store"])
    candidates = sum(not row.original for row in store.trials(engine, 1))
    engine.dispose()
    host = Host()
    later = {**config["study"], "workload_name": "later", "warm_start": ["small"]}
    result = run(host, study=later)["result"]
    assert f"learning from {candidates} trials of study 1 (small)" in host.notices
    assert result["trials"]["train"] == 16


@pytest.mark.takes_seconds
def test_seconds_include_the_interrupted_runs(run: Run, config: dict[str, Any]) -> None:
    first = run(Host(gone_after=9))["result"]
    engine = store.open_store(config["store"])
    with engine.begin() as connection:  # as if the first run had been an hour ago and had taken a minute
        connection.execute(text("UPDATE studies SET started = datetime(started, '-1 hour')"))
        connection.execute(text("UPDATE trials SET finished = datetime(finished, '-59 minutes')"))
        connection.execute(text("UPDATE events SET at = datetime(at, '-59 minutes')"))
    result = run(Host(), resume=True)["result"]
    own = result["seconds"]["total"] - first["seconds"]["total"]
    assert 55 <= own < 3000, "the minute that the first run took counts, and not the hour since then"
    assert result["trials"]["total"] > first["trials"]["total"]


@pytest.mark.takes_seconds
def test_concurrent_runs_share_their_trials(run: Run, config: dict[str, Any]) -> None:
    shared = {**config["study"], "share": True}
    one, other = Host("h1"), Host("h1", boot="b9")
    ends: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda host=host: ends.append(run(host, study=shared)["result"]))
        for host in (one, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(end["study_id"] for end in ends) == [1, 2]
    assert {end["verdict"] for end in ends} == {"improved"}
    assert {end["trials"]["train"] for end in ends} == {16}
