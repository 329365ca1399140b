# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import connections
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.host_session import HostSession, SessionFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport


def connect_to(name: str, **variables: str) -> Any:
    """What a session on h1 uses to reach the study's run_on host, whose inventory variables these are."""
    session = SimpleNamespace(host="h1", _task_vars={"hostvars": {"generator": variables}})
    return HostSession._load_generator(cast("HostSession", session), name)


@pytest.mark.parametrize("connection", ["local", "ansible.builtin.local"])
def test_the_load_generator_may_be_the_controller(connection: str) -> None:
    assert isinstance(connect_to("generator", ansible_connection=connection), LocalTransport)


@pytest.mark.parametrize(
    "connection", [{}, {"ansible_connection": "ssh"}, {"ansible_connection": "ansible.builtin.ssh"}]
)
def test_the_load_generator_is_reached_by_ssh(connection: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "connection_loader", SimpleNamespace(get=lambda name, context: None))
    monkeypatch.setattr(connections, "_option_of", lambda plugin, kind, variables: variables.get)
    address = SimpleNamespace(of_connection=lambda option: option("ansible_host"))
    monkeypatch.setattr(connections, "SSHAddress", address)
    monkeypatch.setattr(connections, "SSHTransport", lambda address: address)
    assert connect_to("generator", ansible_host="192.0.2.1", **connection) == "192.0.2.1"


@pytest.mark.parametrize("connection", ["docker", "community.docker.docker", "winrm"])
def test_another_connection_of_the_load_generator_is_refused(connection: str) -> None:
    with pytest.raises(SessionFailed) as caught:
        connect_to("generator", ansible_connection=connection)
    assert str(caught.value) == (
        f"h1: run_on host generator: ansible_connection '{connection}' is not supported; use ssh or local"
    )


def test_a_load_generator_must_be_in_the_inventory() -> None:
    with pytest.raises(SessionFailed, match="run_on names nobody, which is not in the inventory"):
        connect_to("nobody")
