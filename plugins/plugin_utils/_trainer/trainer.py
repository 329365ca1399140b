# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One run of the trainer, from the first connection to the result."""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import sys
import threading
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _durable, _kernel

from .._fleet.conversation import converse
from .._fleet.fleet import Ended, Fleet
from .._logs import DEBUG_LOG, debug_log
from .._memory.resume import CannotStart, resume_study, start_study
from .._memory.warm_start import OtherStudies
from .._outcome import result as outcome
from .._outcome.learned_role import withdraw
from .._store.store import StoreError, open_store, shown
from .._study.study import Study
from .agent import Agent
from .conclusion import Conclusion
from .history import RunHistory
from .polling import poll_requests
from .result_builder import build_result, result_without_numbers
from .run import run_study

_LOG = logging.getLogger(__name__)
_LEAVE_TIME = 60.0  # seconds that a worker has to restore its host and clean up


@dataclass(frozen=True)
class TrainerConfig:
    """What a worker passes to the trainer that it starts.

    hosts: the names of all hosts of the play. output: the folder for result.json. playbook_pid: of ansible-playbook.
    parent_pid: of another process whose end stops the study, such as the Python program that started the playbook.
    files: the SHA-256 of each file copied to the hosts. resume: the ID of a study to resume, True for the latest.
    agent: the folder in which an agent listens that chooses the candidates (see agent.py).
    """

    study: dict[str, Any]
    hosts: list[str]
    store: str
    output: str
    seed: int | None
    playbook_pid: int
    versions: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    resume: int | bool = False
    debug: bool = False
    agent: str | None = None
    parent_pid: int | None = None


def run_trainer(folder: Path, server: socket.socket) -> None:
    """Serve the workers that connect to `server` until the study has ended, and leave the result in `folder`."""
    file = folder / "trainer.json"
    config = TrainerConfig(**json.loads(file.read_text()))
    file.unlink()  # the store's URL may contain a password
    with debug_log(Path(config.output) / DEBUG_LOG if config.debug else None, "trainer"):
        _run(config, folder, server)


def _run(config: TrainerConfig, folder: Path, server: socket.socket) -> None:
    study, output = Study.model_validate(config.study), Path(config.output)
    try:
        agent = Agent(Path(config.agent)) if config.agent else None
    except OSError as error:
        _leave(folder, {"error": f"no agent listens in {config.agent}: {error.strerror}"})
        return
    try:
        engine = open_store(config.store)
        if config.resume:
            started = resume_study(engine, study, config.study, config.files, config.resume, config.seed)
        else:
            started = start_study(engine, study, config.study, config.files, config.seed)
    except (CannotStart, StoreError) as error:
        _leave(folder, {"error": str(error)})
        return
    store, replay = started.store, started.replay
    _LOG.info("study %d of %s with seed %d", store.study_id, study.workload_name, store.seed)
    history = RunHistory(study, store, replay, started.seconds)

    def notify(*texts: str) -> None:
        for text in texts:
            store.add_event(text)
        fleet.notify(*texts)  # in one call, which keeps them in order on the terminal

    fleet = Fleet(
        study,
        config.hosts,
        history,
        replay=replay,
        here=(_kernel.boot_id(), _kernel.network_namespace()),
    )
    absent = [name for name in replay.hosts if name not in config.hosts]
    fleet.notify(*started.notices, *(f"{name} is not in this run; its trials are kept" for name in absent))
    # Its workers end with ansible-playbook.
    _stop_with(config.playbook_pid, fleet, "ansible-playbook has ended")
    if config.parent_pid is not None:
        _stop_with(config.parent_pid, fleet, f"process {config.parent_pid}, which started the run, has ended")
    _accept(server, fleet)
    if agent:
        agent.attend(fleet)
        notify(f"the candidates come from an agent instead of algorithm {study.algorithm}")
    started.claim.keep(engine, store.study_id, fleet.notify)
    poll_requests(engine, store.study_id, fleet, store.add_event)
    others = OtherStudies(engine, study, store)
    try:
        conclusion = run_study(study, fleet, history, replay, others, notify, store.seed, agent)
    except (Ended, StoreError) as error:
        stopped = isinstance(error, Ended) and error.stopped
        conclusion = Conclusion("stopped" if stopped else "failed", str(error))
    _LOG.info("the study ended with verdict %s: %s", conclusion.verdict, conclusion.reason)
    about = {
        "started": store.started.isoformat(timespec="seconds"),
        "store": shown(config.store),
        "study_id": store.study_id,
        "versions": config.versions | _versions(),
    }
    waited = fleet.seconds_waited
    with fleet.paused():
        try:
            result = build_result(study, conclusion, history, seconds_waited=waited, seed=store.seed, about=about)
        except Exception as error:  # a mistake of ours must not cost the user the trials: a failed study can be resumed
            _LOG.exception("the result cannot be made")
            conclusion = Conclusion("failed", _why_no_result(conclusion, error))
            result = result_without_numbers(study, conclusion, seed=store.seed, about=about)
    content = result.model_dump(mode="json", by_alias=True)
    if conclusion.is_complete:
        history.complete()
    try:
        store.finish(content, history.planned)
    except StoreError as error:
        fleet.notify(str(error))
    try:
        withdraw(output, result)
        outcome.write(output, result)
    except OSError as error:
        _leave(folder, {"error": f"{output} cannot be written: {error.strerror}; the store has the result"})
        return
    _leave(folder, {"result": content})
    if agent:
        agent.end(content)
    # A benchmark that is running when the study is stopped goes on to its end, unless hosts are to be restored at once.
    fleet.end(content, patience=study.longest_timeout + _LEAVE_TIME)
    started.claim.release()


def _why_no_result(conclusion: Conclusion, error: Exception) -> str:
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return (
        f"the result ({conclusion.verdict}: {conclusion.reason}) cannot be made, which is a mistake in "
        "autotune.kernel: report it, and resume the study with a version that corrects it; "
        f"the store has all trials ({what})"
    )


def _accept(server: socket.socket, fleet: Fleet) -> None:
    def accept() -> None:
        while True:
            connection, dummy = server.accept()
            threading.Thread(target=converse, args=(fleet, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _stop_with(pid: int, fleet: Fleet, reason: str) -> None:
    """Stop the study when this process ends."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        fleet.stop(reason)
        return

    def watch() -> None:
        select.select([process], [], [])
        fleet.stop(reason)

    threading.Thread(target=watch, daemon=True).start()


def _leave(folder: Path, content: dict[str, Any]) -> None:
    """For workers that connect later. The folder is gone if Ansible has ended."""
    if folder.is_dir():
        _durable.write(str(folder / "end.json"), json.dumps(content).encode(), locked=False)


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in ("torch", "botorch", "stable-baselines3", "gymnasium", "scipy", "SQLAlchemy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an installed tree without metadata
            continue
    return found
