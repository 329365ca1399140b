# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One host during a study: checking and preparing it, applying values, leaving it as it was found."""

from __future__ import annotations

import getpass
import logging
import math
import os
import re
import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.autotune.kernel.plugins.module_utils import _kernel

from .._plain import plain_line
from .._study.file import StudyFile
from .._study.guard_benchmarks import GuardBenchmark
from .._study.parameters import kernel_text
from .._study.study import Study
from .background_load import disturbances
from .benchmark import Benchmark, BenchmarkFailed
from .compare import unsafe_in
from .connections import UnsupportedConnection, load_generator, remote_tmp_of, to_host
from .interrupt import standard_error
from .lease_client import LeaseClient, LeaseExpired, RestoreFailed
from .module_call import ModuleFailed, call_module
from .preflight import cautious_start_problem, holder_is_gone, notices, problems
from .service import Service
from .transport import CommandTimeout, ConnectionLost, Transport
from .trial_runner import ApplyFailed, HostContext

_LOG = logging.getLogger(__name__)
# Ansible's default, in the account's home. Unless the inventory says otherwise, the benchmark runs in /tmp.
_DEFAULT_REMOTE_TMP = "~/.ansible/tmp"
_FACTS = ("kernel", "boot_id", "network_namespace", "cpus", "memory_bytes")


class SessionFailed(Exception):
    """This host cannot take part, or not any longer; the message is for the user."""


def this_controller() -> str:
    """USER@HOST, with which the holder of each of this controller's leases begins."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def remote_tmp(action: ActionBase) -> str:
    """The inventory's folder for temporary files on the action's host; empty if it names none."""
    return _unless_default(action.get_shell_option("remote_tmp"))


def _unless_default(folder: str | None) -> str:
    return "" if folder in (None, _DEFAULT_REMOTE_TMP) else str(folder)


class HostSession:
    """One host during a study. arguments: those of the action `evaluate`."""

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
        self.lease = math.ceil(self._study.longest_timeout + self._study.longest_warm_up) + arguments["lease_margin"]
        # Opened now: after Ctrl-C ansible-playbook may end before this host has its values back, which must be said.
        self.playbook_stderr = standard_error(os.getppid())
        self._controller = this_controller()
        self._lease = LeaseClient(
            self._module,
            {
                "holder": f"{self._controller}, process {os.getppid()}, study {self._study.workload_name}",
                "lease": self.lease,
                "allow_unsafe": self._study.allow_unsafe,
            },
            lambda text: self.show(f"{self.host}: {text}"),
        )
        self._transport: Transport | None = None
        self._load_generators: dict[str, Transport] = {}
        self._benchmarks: dict[str | None, Benchmark] = {}  # of guards by name, the study's own under None
        self._services: dict[str | None, Service] = {}  # likewise

    def show(self, text: str) -> None:
        """Print one line for the user, whatever a host or a benchmark has put into the text."""
        line = plain_line(text)
        _LOG.info("shown: %s", line)
        self._display.display(f"[autotune] {line}")

    def warn(self, text: str) -> None:
        line = plain_line(text)
        _LOG.warning("%s", line)
        self._display.warning(line)

    def prepare(self, compared: Mapping[str, Any] = MappingProxyType({})) -> tuple[dict[str, Any], HostContext]:
        """Check the host, connect, copy the benchmarks and run their setup commands. Changes no parameter.

        compared: sets of values, by name, which must be safe here. Returns the facts for the trainer, and what trials
        need. Raises SessionFailed, transport.ConnectionLost, transport.CommandTimeout or OSError.
        """
        facts = self._check_host(compared)
        return facts, self.context(facts["values"])

    def context(self, values: Mapping[str, Any]) -> HostContext:
        """Connect, copy the benchmarks and run their setup commands. values: the original ones. Raises as `prepare`."""
        began = time.monotonic()
        try:
            self._transport = transport = to_host(self._action._connection)
        except UnsupportedConnection as error:
            raise SessionFailed(f"{self.host}: {error}") from None
        workloads: dict[str | None, Study | GuardBenchmark] = {
            None: self._study,
            **{guard.name: guard for guard in self._study.guard_benchmarks},
        }
        for name in dict.fromkeys(workload.run_on for workload in workloads.values()):
            if name:
                self._load_generators[name] = self._load_generator(name)
        connect_seconds = time.monotonic() - began
        load = disturbances({self.host: transport, **self._load_generators})
        for guard, workload in workloads.items():
            self._prepare_benchmark(guard, workload, transport)
            self._prepare_service(guard, workload, transport)
        own, *guards = self._benchmarks.values()
        return HostContext(
            host=self.host,
            study=self._study,
            apply=self.apply,
            renew=partial(self.apply, within_trial=True),
            restore=self.restore,
            transport=transport,
            benchmark=own,
            guard_benchmarks=dict(zip(self._file.guard_files, guards, strict=True)),
            services=self._services,
            originals={name: kernel_text(value) for name, value in values.items()},
            connect_seconds=connect_seconds,
            background_load=load,
            interference=lambda applied: self._lease.interference(applied, transport),
        )

    def _prepare_benchmark(self, guard: str | None, workload: Study | GuardBenchmark, transport: Transport) -> None:
        """Copy the files of the study's own benchmark, or of a guard's, and run its setup command."""
        where = self._load_generators[workload.run_on] if workload.run_on else transport
        benchmark = self._benchmarks[guard] = self._commands_of(workload, where, workload.run_on)
        benchmark.copy(self._files_of(guard))
        if not workload.setup:
            return
        try:
            benchmark.run_once(workload.setup)
        except BenchmarkFailed as error:
            raise SessionFailed(
                f"{self.host}: the setup command {_of(guard)}{error}; no kernel parameter was changed"
            ) from None

    def _prepare_service(self, guard: str | None, workload: Study | GuardBenchmark, transport: Transport) -> None:
        """Copy the files once more: the service runs on the tuned host, and must outlive the benchmark's processes."""
        if not workload.start:
            return
        commands = self._commands_of(workload, transport, None)
        self._services[guard] = Service(commands, workload.start, workload.stop, self._study.restarting)
        commands.copy(self._files_of(guard))

    def _commands_of(self, workload: Study | GuardBenchmark, where: Transport, name: str | None) -> Benchmark:
        """What runs the workload's commands there. name: the load generator's, None for the tuned host."""
        environment, timeout = self._environment(workload), workload.benchmark_timeout
        return Benchmark(where, environment, timeout, self._remote_tmp(name), starts_service=bool(workload.start))

    def _files_of(self, guard: str | None) -> list[tuple[Path, str]]:
        return self._file.files if guard is None else self._file.guard_files[guard]

    def _check_host(self, compared: Mapping[str, Any]) -> dict[str, Any]:
        parameters = self._study.space.parameters
        facts = self._facts(parameters)
        optional = [parameter.param for parameter in self._study.action_space if parameter.optional]
        found = problems(facts, allow_unsafe=self._study.allow_unsafe, optional=optional)
        found += self._study.unsafe_on(facts) + unsafe_in(compared, self._study, facts)
        values = {parameter: facts["parameters"][parameter]["value"] for parameter in parameters}
        if self._study.exploration == "cautious" and not found:
            found = cautious_start_problem(self._study.space, values)
        if found:
            raise SessionFailed(f"{self.host}: {'; '.join(found)}; nothing was written")
        for notice in notices(facts, (_kernel.boot_id(), _kernel.network_namespace())):
            self.show(f"{self.host}: {notice}")
        return {**{name: facts[name] for name in _FACTS}, "values": values}

    def _facts(self, parameters: list[str]) -> dict[str, Any]:
        """The host's facts with its original values, which are not readable while a lease is in force."""
        facts = self._module("sysctl_info", {"parameters": parameters})
        lease = facts["lease"]
        if not lease:
            return facts
        expires_in = max(lease["expires_in"], 0.0)
        if not holder_is_gone(lease["holder"], self._controller):
            raise SessionFailed(
                f"{self.host} is leased to {lease['holder']} for another {expires_in:.0f} s; nothing was written"
            )
        run = f"the lease of a run that has ended ({lease['holder']})"
        self.show(f"{self.host}: {run} expires in {expires_in:.0f} s; waiting")
        time.sleep(expires_in + 1.5)  # the watchdog checks once a second
        self._module("sysctl", {"state": "restored"})  # in case the watchdog is gone, too
        return self._module("sysctl_info", {"parameters": parameters})

    def apply(self, requested: Mapping[str, Any], guard: str | None, *, within_trial: bool = False) -> dict[str, str]:
        """Apply the values under the lease, for a trial of this benchmark; returns the applied ones.

        Raises ApplyFailed.
        """
        benchmark, workload = self._benchmarks.get(guard), self._study.workload(guard)
        # On a load generator, the benchmark's process group is not for the tuned host to kill.
        group = benchmark.process_group if benchmark and not workload.run_on else None
        try:
            return self._lease.apply(requested, group, within_trial=within_trial)
        except (SessionFailed, LeaseExpired) as failure:
            raise ApplyFailed(str(failure).removeprefix(f"{self.host}: ")) from None

    def restore(self) -> str:
        """Restore the original values; returns one clause on what was verified. Raises SessionFailed."""
        try:
            return self._lease.restore()
        except RestoreFailed as failure:
            raise SessionFailed(f"{self.host}: {failure}") from None

    def leave(self) -> str:
        """Restore the values, run the teardown command, remove the files; returns one clause on what was verified.

        Raises SessionFailed if the values could not be restored.
        """
        ending = self.restore()
        for guard, service in self._services.items():
            try:
                service.remove()
            except BenchmarkFailed as error:
                self.warn(f"{self.host}: {error}{f', of guard benchmark {guard}' if guard else ''}")
            except (ConnectionLost, CommandTimeout, OSError) as error:
                self.warn(f"{self.host}: the service could not be stopped: {error}")
        for guard, benchmark in self._benchmarks.items():
            try:
                if teardown := self._study.workload(guard).teardown:
                    benchmark.run_once(teardown)
                benchmark.remove()
            except BenchmarkFailed as error:
                self.warn(f"{self.host}: the teardown command {_of(guard)}{error}")
            except (ConnectionLost, CommandTimeout, OSError) as error:
                self.warn(f"{self.host}: the benchmark's temporary folder could not be removed: {error}")
        if self._benchmarks:
            for transport in filter(None, (*self._load_generators.values(), self._transport)):
                transport.close()
        return ending

    def _module(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = call_module(self._action, self._task_vars, name, arguments)
        except ModuleFailed as failure:
            self._show_warnings(failure.answer)
            expired = failure.answer.get("expired")
            raise LeaseExpired(str(failure)) if expired else SessionFailed(f"{self.host}: {failure}") from None
        self._show_warnings(answer)
        return answer

    def _show_warnings(self, answer: Mapping[str, Any]) -> None:
        """Ansible shows a task's warnings at its end, and after Ctrl-C not at all."""
        for warning in answer.get("warnings") or ():
            self.show(f"{self.host}: {getattr(getattr(warning, 'event', None), 'msg', warning)}")

    def _load_generator(self, name: str) -> Transport:
        if name not in self._task_vars["hostvars"]:
            raise SessionFailed(f"{self.host}: run_on names {name}, which is not in the inventory")
        try:
            return load_generator(name, self._task_vars["hostvars"][name])
        except UnsupportedConnection as error:
            raise SessionFailed(f"{self.host}: run_on host {error}") from None

    def _remote_tmp(self, name: str | None) -> str:
        """The inventory's folder for temporary files of a load generator, or of the host; empty if it names none."""
        if name:
            return _unless_default(remote_tmp_of(self._task_vars["hostvars"][name]))
        return remote_tmp(self._action)

    def _environment(self, workload: Study | GuardBenchmark) -> dict[str, str]:
        address = str(self._task_vars.get("ansible_host") or self.host)
        given = {name: str(value) for name, value in self._arguments["environment"].items()}
        own = {"AUTOTUNE_HOST": address, "AUTOTUNE_SERVICE": address if workload.run_on else "127.0.0.1"}
        environment = {**own, **workload.environment, **given}
        for name in environment:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                raise SessionFailed(f"{self.host}: {name!r} is not a valid name for an environment variable")
        return environment


def _of(guard: str | None) -> str:
    return f"of guard benchmark {guard} " if guard else ""
