"""Whole runs of the trainer, with threads in place of hosts."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome import result as outcome
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import MARK
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer import trainer as trainer_module
from ansible_collections.autotune.kernel.plugins.plugin_utils._trainer.trainer import run_trainer
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line, connect, listen
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trainer_process import (
    StudyFinished,
    TrainerFailed,
    connect_or_start,
    why_trainer_ended,
)
from sqlalchemy import text

Measure = Callable[[dict[str, Any]], dict[str, Any]]
PATIENCE = 180.0  # a busy machine takes a minute for what takes five seconds


@pytest.fixture
def config(new_study: Callable[..., Study], tmp_path: Path) -> dict[str, Any]:
    study = new_study(
        algorithm="random",  # quick; the first test has the default algorithm
        training_config={"total_timesteps": 24},
        verification={"candidates": 2, "pairs": 6},
        early_stopping=False,
        state_space=[{"metric": "cpu_usage"}],
    )
    return {
        "study": study.model_dump(mode="json", exclude_none=True),
        "hosts": ["h1", "h2"],
        "store": f"sqlite:///{tmp_path / 'store.sqlite'}",
        "output": str(tmp_path / "learned" / "small"),
        "seed": 7,
        "playbook_pid": os.getpid(),
        "versions": {"ansible-core": "2.19.0"},
    }


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def better_with_less(noise: float = 0.02, gain: float = 0.5) -> Measure:
    """A host whose throughput is 100 at vm.swappiness 60 and grows towards 0; gain 0 is an A/A study."""
    generator = random.Random(5)

    def measure(job: dict[str, Any]) -> dict[str, Any]:
        share = int(job["requested"]["vm.swappiness"]) / 100
        return {
            "metric": 100 * (1 + gain * (0.6 - share)) * (1 + generator.gauss(0, noise)),
            "applied": {"vm.swappiness": str(job["requested"]["vm.swappiness"])},
            "observations": {"cpu_usage": 40.0},
            "seconds": {"apply": 0.25, "benchmark": 1.0},
        }

    return measure


def facts(boot_id: str = "1") -> dict[str, Any]:
    own = {"kernel": "6.1.0", "boot_id": boot_id, "network_namespace": 1, "cpus": 2, "memory_bytes": 2**30}
    return {**own, "values": {"vm.swappiness": "60"}}


def work(line: Line, name: str, measure: Measure) -> dict[str, Any]:
    """A worker from hello to the end; returns the last message."""
    line.send("hello", host=name)
    line.send("ready", host=name, facts=facts(boot_id=name))
    for message in line:
        if message["kind"] == "trial":
            line.send("trial", trial={**message["trial"], "state": "complete", **measure(message["trial"])})
        elif message["kind"] in ("end", "refused"):
            line.close()
            return message
    raise Disconnected(name)


@pytest.fixture
def trainer(config: dict[str, Any], tmp_path: Path, pool: ThreadPoolExecutor) -> Callable[..., Future[None]]:
    """Hold a session in a thread of its own; its folder is tmp_path/run."""

    def start(**changes: Any) -> Future[None]:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "trainer.json").write_text(json.dumps(config | changes))
        return pool.submit(run_trainer, folder, listen(folder))

    return start


def test_finds_proves_and_writes_a_better_candidate(
    config: dict[str, Any], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    """The real process, started by the first of two workers as Ansible's would."""
    config["study"]["algorithm"] = "ppo"
    folder, log = tmp_path / "run", tmp_path / "learned" / "small" / "trainer.log"
    lines = list(pool.map(lambda dummy: connect_or_start(folder, log, config), range(2)))
    assert all(isinstance(line, Line) for line in lines)
    ends = [
        pool.submit(work, line, name, better_with_less()) for line, name in zip(lines, config["hosts"], strict=True)
    ]
    written = [end.result(PATIENCE)["result"] for end in ends]

    found = outcome.read(Path(config["output"]))
    assert written == [found.model_dump(mode="json", by_alias=True)] * 2
    assert found.verdict == "improved", found.reason
    assert found.best_config is not None
    assert int(found.best_config["vm.swappiness"]) < 60
    assert found.interval is not None
    assert found.interval[0] > 1
    assert found.trials == {
        "baseline": 4,
        "control": found.trials["control"],
        "train": 24,
        "race": found.trials["race"],
        "verify": 2 * found.pairs,
        "ablate": 0,  # of one parameter there is nothing to leave out
        "guard": 0,
        "recovery": 4,
        "failed": 0,
        "total": sum(number for phase, number in found.trials.items() if phase not in ("failed", "total")),
    }
    assert found.trials["race"] in (8, 12)
    assert 4 <= found.pairs <= 6
    assert (len(found.evidence), found.interim_analyses[-1].pairs, found.seed) == (found.pairs, found.pairs, 7)
    assert found.ablation is not None
    assert [each.decision for each in found.ablation.contributions] == ["kept"]
    assert found.seconds["benchmark"] == found.trials["total"]
    assert set(found.per_host) == {"h1", "h2"}
    assert [change.original for change in found.parameters] == [{"h1": "60", "h2": "60"}]
    assert {"ansible-core", "python", "torch"} <= set(found.versions)

    engine = store.open_store(config["store"])
    (study,) = store.studies(engine)
    assert (study.verdict, study.phase, study.result) == ("improved", "ended", written[0])
    assert len(store.trials(engine, study.id)) == found.trials["total"]
    late = connect_or_start(folder, log, config)
    assert late == StudyFinished(written[0])
    assert all(" INFO " in line for line in log.read_text().splitlines())


@pytest.mark.slow
def test_without_an_improvement_the_verdict_is_no_improvement(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    # So little noise that chance never amounts to the 1 % that matter.
    same = better_with_less(noise=0.001, gain=0.0)
    running = trainer()
    ends = [pool.submit(work, connect(tmp_path / "run"), name, same) for name in config["hosts"]]
    assert {end.result(PATIENCE)["result"]["verdict"] for end in ends} == {"no_improvement"}
    running.result(PATIENCE)
    found = outcome.read(Path(config["output"]))
    assert not found.improved
    assert 4 <= found.pairs <= 6
    assert found.ablation is None
    assert json.loads((tmp_path / "run" / "end.json").read_text())["result"]["verdict"] == "no_improvement"


@pytest.mark.takes_seconds
def test_proves_the_weighted_mean_of_several_objectives(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    """Less swappiness is better for throughput, and worse for the latency, which weighs three times as much."""
    generator = random.Random(5)

    def measure(job: dict[str, Any]) -> dict[str, Any]:
        distance = int(job["requested"]["vm.swappiness"]) / 100 - 0.6
        throughput, latency = 100 * math.exp(-0.5 * distance), 20 * math.exp(-0.5 * distance)
        metrics = {"throughput": throughput, "latency": latency * (1 + generator.gauss(0, 0.01))}
        return {"metric": throughput, "metrics": metrics}

    objectives = [{"metric": "latency", "direction": "minimise", "weight": 3.0}]
    running = trainer(hosts=["h1"], study={**config["study"], "objectives": objectives, "algorithm": "random"})
    end = pool.submit(work, connect(tmp_path / "run"), "h1", measure).result(PATIENCE)
    running.result(PATIENCE)
    found = outcome.read(Path(config["output"]))
    assert end["result"]["verdict"] == found.verdict == "improved", found.reason
    assert found.best_config is not None
    assert int(found.best_config["vm.swappiness"]) > 80
    throughput, latency = found.objectives
    assert throughput.change is not None
    assert latency.change is not None
    assert throughput.change < 0 < latency.change
    expected = math.exp((math.log1p(throughput.change / 100) + 3 * math.log1p(latency.change / 100)) / 4)
    assert found.improvement == pytest.approx(100 * (expected - 1), abs=0.5)
    assert found.noise is not None
    assert found.noise.cv_percent is not None
    noted = [event.text for event in store.events(store.open_store(config["store"]), 1)]
    assert [line for line in noted if line in found.noise.notices] == list(found.noise.notices)
    assert noted[0].startswith("baseline noise between runs: ")


def test_a_missing_objective_fails_the_trial(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    running = trainer(hosts=["h1"], study={**config["study"], "objectives": [{"metric": "latency"}]})
    end = pool.submit(work, connect(tmp_path / "run"), "h1", better_with_less()).result(PATIENCE)
    assert end["reason"] == (
        "the benchmark does not work with the host's original values: the benchmark printed no line `latency: NUMBER`, "
        "required by objectives"
    )
    running.result(PATIENCE)


@pytest.mark.slow
def test_a_host_lost_in_the_proof_does_not_fail_the_candidate(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    class LinkCut(Exception):
        pass

    def until_verified(job: dict[str, Any]) -> dict[str, Any]:
        if job["phase"] == "verify":
            raise LinkCut
        return measure(job)

    measure = better_with_less()
    running = trainer()
    line = connect(tmp_path / "run")
    cut = pool.submit(work, line, "h1", until_verified)
    cut.add_done_callback(lambda dummy: line.close())
    stays = pool.submit(work, connect(tmp_path / "run"), "h2", better_with_less())
    assert stays.result(PATIENCE)["result"]["verdict"] == "improved"
    assert isinstance(cut.exception(), LinkCut)
    running.result(PATIENCE)
    found = outcome.read(Path(config["output"]))
    assert {name: host.pairs for name, host in found.per_host.items()} == {"h1": 0, "h2": found.pairs}


def test_losing_the_last_host_after_training_fails_the_study(
    trainer: Callable[..., Future[None]], config: dict[str, Any], tmp_path: Path
) -> None:
    running = trainer(hosts=["h1"])
    line, left = connect(tmp_path / "run"), config["study"]["training_config"]["total_timesteps"]
    line.send("hello", host="h1")
    line.send("ready", host="h1", facts=facts())
    while left:
        message = line.receive()
        if message["kind"] == "trial":
            left -= message["trial"]["phase"] == "train"
            line.send("trial", trial={**message["trial"], "state": "complete", **better_with_less()(message["trial"])})
    line.receive()  # the last trial counts
    line.close()
    running.result(PATIENCE)
    result = json.loads((tmp_path / "run" / "end.json").read_text())["result"]
    assert (result["verdict"], result["reason"]) == ("failed", "h1: the connection to its worker was lost")


def test_if_all_candidates_fail_there_is_no_improvement(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    def measure(job: dict[str, Any]) -> dict[str, Any]:
        return (
            {"metric": 100.0}
            if job["phase"] in ("baseline", "control", "recovery")
            else {"state": "failed", "error": "out of memory"}
        )

    running = trainer(hosts=["h1"])
    end = pool.submit(work, connect(tmp_path / "run"), "h1", measure).result(PATIENCE)
    assert (end["result"]["verdict"], end["result"]["reason"]) == (
        "no_improvement",
        "all candidates failed",
    )
    assert end["result"]["trials"]["failed"] == 24
    running.result(PATIENCE)


@pytest.mark.takes_seconds
def test_a_failing_store_ends_the_run_with_a_reason_and_a_result(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    earlier = Path(config["output"]) / "apply.yml"
    earlier.parent.mkdir(parents=True)
    earlier.write_text(f"---\n# {MARK}\n")
    done = 0

    def measure(job: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        done += 1
        if done == 6:
            with store.open_store(config["store"]).begin() as connection:
                connection.execute(text("DROP TABLE trials"))
        return better_with_less()(job)

    running = trainer(hosts=["h1"])
    end = pool.submit(work, connect(tmp_path / "run"), "h1", measure).result(PATIENCE)
    running.result(PATIENCE)
    assert done == 6
    assert end["result"]["verdict"] == "failed"
    assert end["result"]["reason"] == (
        f"writing to the store {config['store']} failed: no such table: trials; earlier trials are safe"
    )
    assert outcome.read(Path(config["output"])).verdict == "failed"
    assert not earlier.exists(), "there is something to apply beside a result that calls for nothing"


@pytest.mark.takes_seconds
def test_a_result_that_cannot_be_made_leaves_a_study_that_can_be_resumed(
    config: dict[str, Any],
    trainer: Callable[..., Future[None]],
    tmp_path: Path,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*positional: Any, **named: Any) -> outcome.Result:
        return outcome.Result(workload_name="no name", verdict="improved", metric="throughput")

    monkeypatch.setattr(trainer_module, "build_result", fail)
    running = trainer(hosts=["h1"])
    end = pool.submit(work, connect(tmp_path / "run"), "h1", better_with_less()).result(PATIENCE)
    running.result(PATIENCE)
    assert end["result"]["verdict"] == "failed"
    reason = end["result"]["reason"]
    assert reason.startswith("the result (improved: ")
    assert "workload_name" in reason
    assert "resume the study" in reason
    assert "\n" not in reason
    assert outcome.read(Path(config["output"])).reason == reason
    engine = store.open_store(config["store"])
    (study,) = store.studies(engine)
    assert study.verdict == "failed"  # which can be resumed
    assert len(store.trials(engine, study.id)) > 24


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"store": "sqlite:////dev/null/store.sqlite"}, "the store's folder cannot be created"),
        ({"seed": -1}, "seed -1 is out of range; choose one from 0 to 4294967295"),
    ],
)
def test_a_failed_start_has_a_one_line_reason(
    changes: dict[str, Any], reason: str, trainer: Callable[..., Future[None]], config: dict[str, Any], tmp_path: Path
) -> None:
    trainer(**changes).result(PATIENCE)
    assert json.loads((tmp_path / "run" / "end.json").read_text())["error"].startswith(reason)
    (tmp_path / "run" / "lock").write_text(str(os.getpid()))
    with pytest.raises(TrainerFailed, match=reason.split(";")[0]):
        connect_or_start(tmp_path / "run", tmp_path / "trainer.log", config)
    assert not Path(config["output"]).exists()


@pytest.mark.slow
def test_if_output_cannot_be_written_the_store_has_the_result(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    (tmp_path / "learned").write_text("a file, not a folder")
    running = trainer(hosts=["h1"])
    line = connect(tmp_path / "run")
    worker = pool.submit(work, line, "h1", better_with_less())
    running.result(PATIENCE)
    line.close()  # as the end of the real process would
    with pytest.raises(Disconnected):
        worker.result(PATIENCE)
    error = why_trainer_ended(tmp_path / "run", tmp_path / "trainer.log")
    assert error == f"{config['output']} cannot be written: Not a directory; the store has the result"
    (study,) = store.studies(store.open_store(config["store"]))
    assert study.verdict == "improved"


@pytest.mark.takes_seconds
@pytest.mark.parametrize("phase", ["baseline", "train", "race", "verify"])
def test_ctrl_c_stops_any_phase_and_keeps_the_trials(
    phase: str, config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path
) -> None:
    running = trainer(hosts=["h1"])
    line, measure, measured = connect(tmp_path / "run"), better_with_less(), 0
    line.send("hello", host="h1")
    line.send("ready", host="h1", facts=facts())
    for message in line:
        if message["kind"] == "trial" and message["trial"]["phase"] == phase and measured:
            line.send("farewell", reason="stopped by SIGINT", stopped=True)
            break
        if message["kind"] == "trial":
            line.send("trial", trial={**message["trial"], "state": "complete", **measure(message["trial"])})
            measured += 1
    line.close()
    running.result(PATIENCE)
    found = outcome.read(Path(config["output"]))
    assert (found.verdict, found.reason) == ("stopped", "stopped by SIGINT")
    assert found.trials["total"] == measured
    engine = store.open_store(config["store"])
    (study,) = store.studies(engine)
    assert (study.verdict, len(store.trials(engine, study.id))) == ("stopped", measured)


@pytest.mark.takes_seconds
def test_the_trainer_ends_with_ansible_playbook(
    config: dict[str, Any], trainer: Callable[..., Future[None]], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    playbook = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    training = threading.Event()

    def measure(job: dict[str, Any]) -> dict[str, Any]:
        if job["phase"] == "train":
            training.set()
            playbook.wait(PATIENCE)
        return better_with_less()(job)

    running = trainer(hosts=["h1", "never comes"], playbook_pid=playbook.pid)
    worker = pool.submit(work, connect(tmp_path / "run"), "h1", measure)
    assert training.wait(PATIENCE)
    playbook.kill()
    assert worker.result(PATIENCE)["result"]["verdict"] == "stopped"
    running.result(PATIENCE)
    found = outcome.read(Path(config["output"]))
    assert (found.verdict, found.reason) == ("stopped", "ansible-playbook has ended")


def test_a_playbook_that_has_already_ended_stops_the_study(
    config: dict[str, Any], trainer: Callable[..., Future[None]]
) -> None:
    playbook = subprocess.Popen(["true"])
    playbook.wait()
    trainer(playbook_pid=playbook.pid).result(PATIENCE)
    assert outcome.read(Path(config["output"])).verdict == "stopped"
