# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One host as Ansible reaches it: preparing it for a study, putting values on it, leaving it as it was found."""

from __future__ import annotations

import getpass
import logging
import math
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.playbook.play_context import PlayContext
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader, shell_loader
from ansible.utils.display import Display
from ansible_collections.autotune.kernel.plugins.module_utils import _kernel

from .._logs import redacted
from .._plain import plain_line
from .._study.file import StudyFile
from .benchmark import Benchmark, BenchmarkFailed
from .lease_client import LeaseClient, LeaseExpired, RestoreFailed
from .local import LocalTransport
from .preflight import become_failed, is_gone, notes, out_of_reach, problems
from .ssh import SSHTransport
from .ssh_config import SSHAddress
from .transport import Lost, TimedOut, Transport
from .trial_runner import ApplyFailed, HostContext

_LOG = logging.getLogger(__name__)
# Ansible's default, in the account's home: a benchmark belongs in /tmp unless somebody says otherwise.
_ANSIBLES_OWN_TMP = "~/.ansible/tmp"


class SessionFailed(Exception):
    """The host's part has failed; the message is for the user."""


class HostSession:
    """One host's part. `arguments` are those of the action `evaluate`."""

    def __init__(
        self,
        action: ActionBase,
        arguments: dict[str, Any],
        task_vars: Mapping[str, Any],
        display: Display,
        study: StudyFile,
    ) -> None:
        self._action, self._arguments, self._task_vars, self._display = action, arguments, task_vars, display
        self._file, self._study = study, study.study
        self.host = str(task_vars["inventory_hostname"])
        self.lease = math.ceil(self._study.training_config.benchmark_timeout) + arguments["lease_margin"]
        self.playbook_pid = os.getppid()
        self._machine = f"{getpass.getuser()}@{socket.gethostname()}"
        owner = f"{self._machine}, process {self.playbook_pid}"
        self._lease = LeaseClient(
            self._module,
            {
                "holder": f"{owner}, study {self._study.workload_name}",
                "lease": self.lease,
                "allow_unsafe": self._study.allow_unsafe,
            },
            lambda text: self.show(f"{self.host}: {text}"),
        )
        self._transport: Transport | None = None
        self._elsewhere: Transport | None = None
        self._benchmark: Benchmark | None = None

    def show(self, text: str) -> None:
        """One line for the user; whatever a host or a benchmark has put into it, it stays one."""
        _LOG.info("shown: %s", text)
        self._display.display(f"[autotune] {plain_line(text)}")

    def warn(self, text: str) -> None:
        _LOG.warning("%s", text)
        self._display.warning(plain_line(text))

    def prepare(self) -> tuple[dict[str, Any], HostContext]:
        """Look at the host, connect for the benchmark and ship it. Returns what was found; changes no value."""
        facts = self._look()
        began = time.monotonic()
        self._transport = transport = self._connect()
        other = self._study.run_on
        self._elsewhere = self._connect_to(other) if other else None
        connect_seconds = time.monotonic() - began
        timeout = self._study.training_config.benchmark_timeout
        self._benchmark = benchmark = Benchmark(
            self._elsewhere or transport, self._environment(), timeout, self._remote_tmp()
        )
        benchmark.ship(self._file.files)
        if self._study.setup:
            try:
                benchmark.run_once(self._study.setup)
            except BenchmarkFailed as error:
                raise SessionFailed(f"{self.host}: the setup command {error}; nothing was written") from None
        return facts, HostContext(
            self.host, self._study, self.apply, self.restore, transport, benchmark, connect_seconds, self.interference
        )

    def _look(self) -> dict[str, Any]:
        parameters = self._study.space.parameters
        facts = self._facts(parameters)
        optional = [parameter.param for parameter in self._study.action_space if parameter.optional]
        found = problems(facts, allow_unsafe=self._study.allow_unsafe, optional=optional)
        found += self._study.unsafe_on(facts)
        values = {parameter: facts["parameters"][parameter]["value"] for parameter in parameters}
        if self._study.exploration == "cautious" and not found:
            found = out_of_reach(self._study.space, values)
        if found:
            raise SessionFailed(f"{self.host}: {'; '.join(found)}; nothing was written")
        kept = ("kernel", "boot_id", "network_namespace", "cpus", "memory_bytes")
        for note in notes(facts, (_kernel.boot_id(), _kernel.network_namespace())):
            self.show(f"{self.host}: {note}")
        return {**{name: facts[name] for name in kept}, "values": values}

    def _facts(self, parameters: list[str]) -> dict[str, Any]:
        """What the host has of its own, which does not show while values are on loan to it."""
        facts = self._module("sysctl_info", {"parameters": parameters})
        lease = facts["lease"]
        if not lease:
            return facts
        if not is_gone(lease["holder"], self._machine):
            raise SessionFailed(
                f"{self.host}: {lease['holder']} holds this host for another {max(lease['expires_in'], 0):.0f} s; "
                "nothing was written"
            )
        patience = max(lease["expires_in"], 0.0)
        self.show(
            f"{self.host}: values are on loan to {lease['holder']}, which is gone: waits {patience:.0f} s for the end"
        )
        time.sleep(patience + 1.5)  # the watchdog has its second
        self._module("sysctl", {"state": "restored"})  # if there is none any more
        return self._module("sysctl_info", {"parameters": parameters})

    def apply(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Put values on the host, on loan; returns what the kernel kept. Raises ApplyFailed."""
        # Where the benchmark runs elsewhere, its process group is none of this host's.
        group = self._benchmark.process_group if self._benchmark and not self._study.run_on else None
        try:
            return self._lease.apply(values, group)
        except SessionFailed as failure:
            raise ApplyFailed(str(failure).removeprefix(f"{self.host}: ")) from None

    def interference(self, kept: Mapping[str, str]) -> str | None:
        """Why an evaluation with these values does not count, or None. Raises Lost."""
        return self._lease.interference(kept, self._transport)

    def restore(self) -> str:
        """Put the host's own values back; returns one clause that says what was verified. Raises SessionFailed."""
        try:
            return self._lease.restore()
        except RestoreFailed as failure:
            raise SessionFailed(f"{self.host}: {failure}") from None

    def leave(self) -> str:
        """Leave the host as it was found: values, files, processes. Returns one clause that says what was verified.

        Raises SessionFailed where that is not so.
        """
        ending = self.restore()
        if self._benchmark and self._transport:
            try:
                if self._study.teardown:
                    self._benchmark.run_once(self._study.teardown)
                self._benchmark.remove()
            except BenchmarkFailed as error:
                self.warn(f"{self.host}: the teardown command {error}")
            except (Lost, TimedOut, OSError) as error:
                self.warn(f"{self.host}: the benchmark's folder in its /tmp could not be removed: {error}")
            for transport in filter(None, (self._elsewhere, self._transport)):
                transport.close()
        return ending

    def _module(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        _LOG.debug("calls %s with %s", name, redacted(arguments))
        try:
            answer: dict[str, Any] = self._action._execute_module(
                module_name=f"autotune.kernel.{name}", module_args=arguments, task_vars=self._task_vars
            )
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:  # of the connection's, about become
            raise SessionFailed(f"{self.host}: {self._become_failed(str(error))}") from None
        _LOG.debug("%s returned %s", name, redacted({key: answer[key] for key in answer if key != "invocation"}))
        for warning in answer.get("warnings") or ():
            # Ansible would show a task's warnings when the task has ended, and after Ctrl-C never.
            self.show(f"{self.host}: {getattr(getattr(warning, 'event', None), 'msg', warning)}")
        if answer.get("failed"):
            message = str(answer.get("msg") or answer.get("module_stderr") or "it gave no reason")
            if "module_stderr" in answer and self._action._connection.become:  # no module ran at all
                said = answer["module_stderr"].strip().splitlines() or ["it gave no reason"]
                message = self._become_failed(said[-1])
            raise LeaseExpired(message) if answer.get("lapsed") else SessionFailed(f"{self.host}: {message}")
        return answer

    def _become_failed(self, said: str) -> str:
        become = self._action._connection.become
        return become_failed(said, become.name if become else "sudo")

    def _connect(self) -> Transport:
        connection = self._action._connection
        if connection.transport == "local":
            return LocalTransport()
        if connection.transport != "ssh":
            raise SessionFailed(
                f"{self.host}: no benchmark can run, and no host be watched, over ansible_connection "
                f"'{connection.transport}'; use ssh or local"
            )
        return SSHTransport(SSHAddress.of_connection(connection.get_option))

    def _connect_to(self, other: str) -> Transport:
        hostvars = self._task_vars["hostvars"]
        if other not in hostvars:
            raise SessionFailed(f"{self.host}: run_on names {other}, which is not in the inventory")
        known = hostvars[other]
        if known.get("ansible_connection") == "local":
            return LocalTransport()
        connection = connection_loader.get("ansible.builtin.ssh", PlayContext())
        return SSHTransport(SSHAddress.of_connection(_option_of(connection, "connection", known)))

    def _remote_tmp(self) -> str:
        """Where the inventory wants temporary files on the benchmark's machine; empty where it says nothing."""
        if other := self._study.run_on:
            option = _option_of(shell_loader.get("ansible.builtin.sh"), "shell", self._task_vars["hostvars"][other])
            wanted = option("remote_tmp")
        else:
            wanted = self._action.get_shell_option("remote_tmp")
        return "" if wanted in (None, _ANSIBLES_OWN_TMP) else str(wanted)

    def _environment(self) -> dict[str, str]:
        address = self._task_vars.get("ansible_host") or self.host
        given = {name: str(value) for name, value in self._arguments["environment"].items()}
        whole = {"AUTOTUNE_HOST": str(address), **self._study.environment, **given}
        odd = [name for name in whole if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)]
        if odd:
            raise SessionFailed(f"{self.host}: {odd[0]!r} cannot name a variable of the benchmark's environment")
        return whole


def _option_of(plugin: Any, kind: str, variables: Mapping[str, Any]) -> Callable[[str], Any]:
    """A plugin's options as these variables of a host set them, by name."""
    names = constants.config.get_plugin_vars(kind, plugin._load_name)
    plugin.set_options(var_options={name: variables[name] for name in names if name in variables})
    option: Callable[[str], Any] = plugin.get_option
    return option
