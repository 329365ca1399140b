# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From what the inventory says of a host to a connection of the worker's own, beside Ansible's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible import constants
from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.loader import connection_loader, shell_loader

from .local import LocalTransport
from .ssh import SSHTransport
from .ssh_config import SSHAddress
from .transport import Transport


class UnsupportedConnection(Exception):
    """The message says which connection it is."""


def to_host(connection: ConnectionBase) -> Transport:
    """To the host of Ansible's connection. Raises UnsupportedConnection or what connecting raises."""
    if connection.transport == "local":
        return LocalTransport()
    if connection.transport != "ssh":
        raise _unsupported(connection.transport)
    return SSHTransport(SSHAddress.of_connection(connection.get_option))


def load_generator(name: str, variables: Mapping[str, Any]) -> Transport:
    """To another host of the inventory, given its variables. Raises as `to_host`, with the name first."""
    kind = str(variables.get("ansible_connection") or "ssh").removeprefix("ansible.builtin.")
    if kind == "local":
        return LocalTransport()
    if kind not in ("ssh", "smart"):
        raise _unsupported(kind, f"{name}: ")
    connection = connection_loader.get("ansible.builtin.ssh", PlayContext())
    return SSHTransport(SSHAddress.of_connection(_option_of(connection, "connection", variables)))


def remote_tmp_of(variables: Mapping[str, Any]) -> str | None:
    """The folder for temporary files of another host of the inventory, given its variables."""
    folder: str | None = _option_of(shell_loader.get("ansible.builtin.sh"), "shell", variables)("remote_tmp")
    return folder


def _unsupported(kind: str, of: str = "") -> UnsupportedConnection:
    return UnsupportedConnection(f"{of}ansible_connection '{kind}' is not supported; use ssh or local")


def _option_of(plugin: Any, kind: str, variables: Mapping[str, Any]) -> Callable[[str], Any]:
    """A plugin's options by name, set from a host's variables."""
    names = constants.config.get_plugin_vars(kind, plugin._load_name)
    plugin.set_options(var_options={name: variables[name] for name in names if name in variables})
    option: Callable[[str], Any] = plugin.get_option
    return option
