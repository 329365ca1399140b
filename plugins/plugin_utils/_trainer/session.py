# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One run of the trainer, from the first connection to the result."""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import sys
import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .._outcome import result as outcome
from .._store.store import StoreError, StudyRecord, open_store, shown
from .._study.study import Study
from .fleet import Fleet
from .record import Record
from .run import Clock, conduct, result_of


@dataclass(frozen=True)
class TrainerConfig:
    """What the worker that started the trainer knows of the run.

    hosts: the names of all hosts of the play. output: the folder for result.json. playbook_pid: ansible-playbook's.
    """

    study: dict[str, Any]
    hosts: list[str]
    store: str
    output: str
    seed: int | None
    playbook_pid: int
    versions: dict[str, str]


def hold(folder: Path, server: socket.socket) -> None:
    """Serve the workers that connect to `server` until the study has ended; what came of it is left in `folder`."""
    config = TrainerConfig(**json.loads((folder / "trainer.json").read_text()))
    study = Study.model_validate(config.study)
    seed = next((s for s in (config.seed, study.training_config.seed) if s is not None), secrets.randbelow(2**31))
    if not 0 <= seed < 2**32:
        _leave(folder, {"error": f"seed {seed} is no seed; choose one from 0 to {2**32 - 1}"})
        return
    try:
        engine = open_store(config.store)
        store = StudyRecord.begin(engine, workload_name=study.workload_name, study=config.study, seed=seed)
    except StoreError as error:
        _leave(folder, {"error": str(error)})
        return
    record, clock = Record(study, store), Clock()

    def on_news(host: str, text: str) -> None:
        record.note(text, host)
        fleet.notify(f"{host}: {text}")

    fleet = Fleet(
        study,
        config.hosts,
        on_host=record.on_host,
        on_lost=record.on_lost,
        on_evaluation=record.on_evaluation,
        on_news=on_news,
    )
    _stop_with(config.playbook_pid, fleet)
    _accept(server, fleet)
    conclusion = conduct(study, fleet, record, clock, seed)
    about = {
        "started": store.started.isoformat(timespec="seconds"),
        "store": shown(config.store),
        "study_id": store.study_id,
        "versions": config.versions | _versions(),
    }
    result = result_of(study, conclusion, record, clock, seed=seed, about=about)
    written = result.model_dump(mode="json", by_alias=True)
    try:
        store.finish(written)
    except StoreError as error:
        fleet.notify(str(error))
    try:
        outcome.write(Path(config.output), result)
    except OSError as error:
        _leave(folder, {"error": f"{config.output} cannot be written: {error.strerror}; the store has the result"})
        return
    _leave(folder, {"result": written})
    fleet.end(written)


def _accept(server: socket.socket, fleet: Fleet) -> None:
    def accept() -> None:
        while True:
            connection, dummy = server.accept()
            threading.Thread(target=fleet.serve, args=(connection,), daemon=True).start()

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
        outcome.write_whole(folder / "end.json", json.dumps(content))


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in ("torch", "stable-baselines3", "gymnasium", "scipy", "SQLAlchemy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an installed tree without metadata
            continue
    return found
