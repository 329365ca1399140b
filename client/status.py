# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the store knows of studies, as lines on a terminal; and the request to stop one."""

from __future__ import annotations

import getpass
import socket
from typing import Any

from ..dashboard.formatting import verdict
from ..dashboard.queries import listed_studies
from ..dashboard.readonly_store import ReadOnlyStore
from ..plugins.plugin_utils._outcome.filters import per_cent
from ..plugins.plugin_utils._outcome.verdict import gain
from ..plugins.plugin_utils._plain import plain_line
from ..plugins.plugin_utils._store.store import StoreError
from ..plugins.plugin_utils._trial.trial import phase_name


def lines(store: ReadOnlyStore, size: int = 20) -> list[str]:
    """The latest studies, one a line. Raises StoreError."""
    return [line(study) for study in _listed(store, size=size)] or ["  none"]


def latest(store: ReadOnlyStore) -> dict[str, Any]:
    """The latest study. Raises StoreError."""
    studies = _listed(store, size=1)
    if not studies:
        raise StoreError(f"there are no studies in {store.shown}")
    return studies[0]


def stop(store: ReadOnlyStore, *, restore: bool) -> str:
    """Ask the trainer of the running study to stop; returns what happens then. Raises StoreError."""
    running = _listed(store, size=2, verdict="running")
    if len(running) != 1:
        raise StoreError(
            f"{len(running)} studies are running; stop one on the dashboard" if running else "no study is running"
        )
    study = running[0]
    store.ask(study["id"], "restore" if restore else "stop", f"{getpass.getuser()}@{socket.gethostname()}")
    when = "at once" if restore else "when the running trials have ended"
    return f"study {study['id']} of {plain_line(study['workload_name'])} stops, and restores its hosts, {when}"


def _listed(store: ReadOnlyStore, **selection: Any) -> list[dict[str, Any]]:
    with store.reading() as connection:
        return listed_studies(connection, **selection)[0]


def line(study: dict[str, Any]) -> str:
    """The study's ID, its workload, and how far it is or how it ended."""
    if study["running"]:
        state = f"running, {phase_name(study['phase'])}, {study['trials']} of {study['trials_planned']} trials"
    elif study["interrupted"]:
        state = "interrupted; to resume: autotune run STUDY --resume"
    else:
        state = verdict(study["verdict"]).lower()
        if study["improvement"] is not None:
            state += f", {study['metrics']} {gain(study, per_cent)}"
    return f"  {study['id']:>4} {plain_line(study['workload_name'])}: {plain_line(state)}"
