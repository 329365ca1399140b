from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.dashboard.app import create_app
from ansible_collections.autotune.kernel.dashboard.server import listen, server_of
from ansible_collections.autotune.kernel.dashboard.settings import Settings
from flask.testing import FlaskClient

sys.path.insert(0, str(Path(__file__).parents[2]))  # dashboard_store.py, which tests/browser and the benchmark use too
import dashboard_store

SETTINGS = Settings(port=0, poll=0.1, ping=0.5)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.fixture
def study_id(url: str) -> int:
    """A finished study of 120 evaluations on 3 hosts."""
    return dashboard_store.fill(url, evaluations=120, hosts=3)


@pytest.fixture
def running_study(url: str) -> Iterator[dashboard_store.Running]:
    with dashboard_store.running(url) as study:
        yield study


@pytest.fixture
def client_of(url: str) -> Callable[..., FlaskClient]:
    """A client of the page for the store, which must be there; with other settings, if any are named."""
    return lambda **changes: create_app(url, replace(SETTINGS, **changes)).test_client()


@pytest.fixture
def serve(url: str) -> Iterator[Callable[..., str]]:
    """A real server in a thread; returns where it is."""
    servers = []

    def start(**changes: object) -> str:
        listening = listen(SETTINGS)
        settings = replace(SETTINGS, port=listening.getsockname()[1], **changes)
        servers.append(server_of(create_app(url, settings), settings, listening))
        threading.Thread(target=servers[-1].run, daemon=True).start()
        return f"http://127.0.0.1:{settings.port}"

    yield start
    for server in servers:
        server.close()
