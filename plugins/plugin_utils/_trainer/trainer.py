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
from .._fleet.fleet import Fleet
from .._fleet.listener import Listener
from .._logs import DEBUG_LOG, debug_log
from .._memory.memory import Memory
from .._memory.resume import CannotStart, resume_study, start_study
from .._outcome import result as outcome
from .._outcome.learned_role import withdraw
from .._store.store import StoreError, open_store, shown
from .._study.study import Study
from .conclusion import Clock, result_of
from .history import RunHistory
from .polling import poll_requests
from .run import run_study

_LOG = logging.getLogger(__name__)
_LEAVING = 60.0  # seconds in which a worker puts its host's values back and cleans up


@dataclass(frozen=True)
class TrainerConfig:
    """What the worker that started the trainer knows of the run.

    hosts: the names of all hosts of the play. output: the folder for result.json. playbook_pid: ansible-playbook's.
    files: the SHA-256 of those that are shipped to the hosts, by name. resume: the study that is to go on, by its ID;
    True is the latest that can, False none.
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


def run_trainer(folder: Path, server: socket.socket) -> None:
    """Serve the workers that connect to `server` until the study has ended, and leave the result in `folder`."""
    file = folder / "trainer.json"
    config = TrainerConfig(**json.loads(file.read_text()))
    file.unlink()  # the store's URL may contain a password
    with debug_log(Path(config.output) / DEBUG_LOG if config.debug else None, "trainer"):
        _run(config, folder, server)


def _run(config: TrainerConfig, folder: Path, server: socket.socket) -> None:
    study = Study.model_validate(config.study)
    try:
        engine = open_store(config.store)
        if config.resume:
            started = resume_study(engine, study, config.study, config.files, config.resume, config.seed)
        else:
            started = start_study(engine, study, config.study, config.files, config.seed)
    except (CannotStart, StoreError) as error:
        _leave(folder, {"error": str(error)})
        return
    store, past = started.store, started.past
    record, clock = RunHistory(study, store, past), Clock()
    clock.began_before(started.seconds)
    memory = Memory(engine, study, store, past)

    def on_news(host: str, text: str) -> None:
        record.note(text, host)
        fleet.notify(f"{host}: {text}")

    fleet = Fleet(
        study,
        config.hosts,
        Listener(
            on_host=record.on_host,
            on_lost=record.on_lost,
            on_evaluation=record.on_evaluation,
            on_news=on_news,
            on_doing=record.on_doing,
            on_ending=record.on_ending,
        ),
        past=past,
        here=(_kernel.boot_id(), _kernel.network_namespace()),
    )
    absent = [name for name in past.hosts if name not in config.hosts]
    fleet.notify(*started.notices, *(f"{name} is not in this run; its evaluations are kept" for name in absent))
    _stop_with(config.playbook_pid, fleet)
    _accept(server, fleet)
    started.claim.keep(engine, store.study_id, fleet.notify)
    poll_requests(engine, store.study_id, fleet, record.note)
    _LOG.info("study %d of %s with seed %d", store.study_id, study.workload_name, store.seed)
    conclusion = run_study(study, fleet, record, clock, memory, store.seed)
    _LOG.info("the study ended with verdict %s: %s", conclusion.verdict, conclusion.reason)
    about = {
        "started": store.started.isoformat(timespec="seconds"),
        "store": shown(config.store),
        "study_id": store.study_id,
        "versions": config.versions | _versions(),
    }
    with fleet.still():
        result = result_of(study, conclusion, record, clock, seed=store.seed, about=about)
    written = result.model_dump(mode="json", by_alias=True)
    if conclusion.is_complete:
        record.complete()
    try:
        store.finish(written, record.planned)
    except StoreError as error:
        fleet.notify(str(error))
    try:
        withdraw(Path(config.output), result)
        outcome.write(Path(config.output), result)
    except OSError as error:
        _leave(folder, {"error": f"{config.output} cannot be written: {error.strerror}; the store has the result"})
        return
    _leave(folder, {"result": written})
    # An evaluation that is under way when the study is stopped goes on to its end, unless the page says: restore now.
    fleet.end(written, patience=study.training_config.benchmark_timeout + _LEAVING)
    started.claim.release()


def _accept(server: socket.socket, fleet: Fleet) -> None:
    def accept() -> None:
        while True:
            connection, dummy = server.accept()
            threading.Thread(target=converse, args=(fleet, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _stop_with(playbook_pid: int, fleet: Fleet) -> None:
    """The workers' parent is the run: without it nobody reads the result, and hosts may be gone unnoticed."""
    try:
        playbook = os.pidfd_open(playbook_pid)
    except ProcessLookupError:
        fleet.stop("ansible-playbook has ended")
        return

    def watch() -> None:
        select.select([playbook], [], [])
        fleet.stop("ansible-playbook has ended")

    threading.Thread(target=watch, daemon=True).start()


def _leave(folder: Path, content: dict[str, Any]) -> None:
    """For workers that come late. Ansible removes the folder at its end, so it may be gone."""
    if folder.is_dir():
        _durable.write(str(folder / "end.json"), json.dumps(content).encode())


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in ("torch", "botorch", "stable-baselines3", "gymnasium", "scipy", "SQLAlchemy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an installed tree without metadata
            continue
    return found
