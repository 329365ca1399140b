from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    """A finished study of 120 trials on 3 hosts."""
    return dashboard_store.fill(url, trials=120, hosts=3)


@pytest.fixture
def running_study(url: str) -> Iterator[dashboard_store.Running]:
    with dashboard_store.running(url) as study:
        yield study


@pytest.fixture
def client_of(url: str) -> Callable[..., FlaskClient]:
    """A test client of the dashboard for the existing store, with changed settings."""
    return lambda **changes: create_app(url, replace(SETTINGS, **changes)).test_client()


@pytest.fixture
def servers() -> list[Any]:
    """The servers started by `serve`."""
    return []


@pytest.fixture
def serve(url: str, servers: list[Any]) -> Iterator[Callable[..., str]]:
    """Start a real server in a thread and return its address."""
    threads = []

    def start(**changes: object) -> str:
        wanted = replace(SETTINGS, **changes)
        listening = listen(wanted)
        settings = replace(wanted, port=listening.getsockname()[1])
        servers.append(server_of(create_app(url, settings), settings, listening))
        threads.append(threading.Thread(target=servers[-1].run, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{settings.port}"

    yield start
    for server, thread in zip(servers, threads, strict=True):
        # In the server's own thread, which fails if another one closes its sockets.
        with suppress(OSError):  # it may have ended already
            server.trigger.pull_trigger(lambda server=server: end(server))
        thread.join(180)
        assert not thread.is_alive()


def end(server: Any) -> None:
    """Close all connections and stop the threads; to be called in the server's thread."""
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    server.close()
    server.task_dispatcher.set_thread_count(0)
