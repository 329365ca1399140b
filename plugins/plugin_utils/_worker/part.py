# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A host's part in a study, from Ansible's side: prepare the host, serve the trainer, leave all as it was found."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display

from .._study.file import StudyError, StudyFile, read_study
from .._wire import Disconnected, Line
from .benchmark import Benchmark, BenchmarkFailed
from .interrupt import Interrupted, Interrupts
from .local import LocalTransport
from .preflight import problems
from .rehearsal import rehearse
from .serve import ApplyFailed, Refused, Workplace, serve
from .ssh import SSHAddress, SSHTransport
from .trainer_process import StudyOver, TrainerFailed, meet, why_it_ended
from .transport import Lost, TimedOut, Transport

# The host waits this much longer than a benchmark may take before it takes its values back by itself.
_LEASE_MARGIN = 60


class PartFailed(Exception):
    """The host's part has failed; the message is for the user."""


class Part:
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
        self.lease = int(self._study.training_config.benchmark_timeout) + _LEASE_MARGIN
        self._holder = (
            f"{getpass.getuser()}@{socket.gethostname()}, process {os.getppid()}, study {self._study.workload_name}"
        )
        self._touched = False
        self._transport: Transport | None = None
        self._benchmark: Benchmark | None = None

    def show(self, text: str) -> None:
        self._display.display(f"[autotune] {text}")

    def prepare(self) -> dict[str, Any]:
        """Look at the host, connect for the benchmark and ship it; returns the facts. Changes no value."""
        parameters = self._study.space.parameters
        facts = self._module("sysctl_info", {"parameters": parameters})
        found = problems(facts, allow_unsafe=self._study.allow_unsafe)
        if found:
            raise PartFailed(f"{self.host}: {'; '.join(found)}; nothing was written")
        began = time.monotonic()
        self._transport = self._connect()
        self._connect_seconds = time.monotonic() - began
        self._benchmark = Benchmark(
            self._transport, self._environment(), timeout=self._study.training_config.benchmark_timeout
        )
        self._benchmark.ship(self._file.files)
        if self._study.setup:
            try:
                self._benchmark.run_once(self._study.setup)
            except BenchmarkFailed as error:
                raise PartFailed(f"{self.host}: the setup command {error}; nothing was written") from None
        kept = ("kernel", "boot_id", "network_namespace", "cpus", "memory_bytes")
        values = {parameter: facts["parameters"][parameter]["value"] for parameter in parameters}
        return {**{name: facts[name] for name in kept}, "values": values}

    def workplace(self) -> Workplace:
        assert self._transport, "prepare() comes first"
        assert self._benchmark, "prepare() comes first"
        return Workplace(self.host, self._study, self.apply, self._transport, self._benchmark, self._connect_seconds)

    def apply(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Put values on the host, on loan; returns what the kernel kept. Raises ApplyFailed."""
        self._touched = True
        answer = self._module(
            "sysctl",
            {
                "values": dict(values),
                "state": "leased",
                "lease": self.lease,
                "holder": self._holder,
                "allow_unsafe": self._study.allow_unsafe,
            },
            failure=ApplyFailed,
        )
        after: dict[str, str] = answer["after"]
        return after

    def leave(self) -> None:
        """Leave the host as it was found: values, files, processes. Raises PartFailed where that is not so."""
        if self._touched:
            self._module("sysctl", {"state": "restored", "holder": self._holder})
            self._touched = False
        if self._benchmark and self._transport:
            try:
                if self._study.teardown:
                    self._benchmark.run_once(self._study.teardown)
                self._benchmark.remove()
            except BenchmarkFailed as error:
                self._display.warning(f"{self.host}: the teardown command {error}")
            except (Lost, TimedOut, OSError) as error:
                self._display.warning(f"{self.host}: the benchmark's folder in its /tmp could not be removed: {error}")
            self._transport.close()

    def _module(self, name: str, arguments: dict[str, Any], failure: type[Exception] = PartFailed) -> dict[str, Any]:
        answer: dict[str, Any] = self._action._execute_module(
            module_name=f"autotune.kernel.{name}", module_args=arguments, task_vars=self._task_vars
        )
        if answer.get("failed"):
            message = answer.get("msg") or answer.get("module_stderr") or "it gave no reason"
            raise failure(str(message) if failure is not PartFailed else f"{self.host}: {message}")
        return answer

    def _connect(self) -> Transport:
        other = self._study.run_on
        if other:
            return self._connect_to(other)
        connection = self._action._connection
        if connection.transport == "local":
            return LocalTransport()
        if connection.transport != "ssh":
            raise PartFailed(
                f"{self.host}: no benchmark can run over ansible_connection '{connection.transport}'; use ssh or local"
            )
        return SSHTransport(SSHAddress.of_connection(connection.get_option))

    def _connect_to(self, other: str) -> Transport:
        hostvars = self._task_vars["hostvars"]
        if other not in hostvars:
            raise PartFailed(f"{self.host}: run_on names {other}, which is not in the inventory")
        known = hostvars[other]
        if known.get("ansible_connection") == "local":
            return LocalTransport()
        named = {
            "host": known.get("ansible_host", other),
            "port": known.get("ansible_port"),
            "remote_user": known.get("ansible_user"),
            "password": known.get("ansible_password"),
            "private_key_file": known.get("ansible_ssh_private_key_file"),
            "host_key_checking": known.get("ansible_host_key_checking", constants.HOST_KEY_CHECKING),
            "ssh_common_args": known.get("ansible_ssh_common_args"),
            "ssh_extra_args": known.get("ansible_ssh_extra_args"),
        }
        return SSHTransport(SSHAddress.of_connection(named.get))

    def _environment(self) -> dict[str, str]:
        address = self._task_vars.get("ansible_host") or self.host
        given = {name: str(value) for name, value in self._arguments["environment"].items()}
        return {"AUTOTUNE_HOST": str(address), **self._study.environment, **given}


def take_part(
    action: ActionBase, arguments: dict[str, Any], task_vars: Mapping[str, Any], display: Display
) -> dict[str, Any]:
    """The whole part of one host; returns the action's result. Raises PartFailed, or AnsibleConnectionFailure."""
    try:
        study = read_study(Path(arguments["study"]), Path.cwd())
    except StudyError as error:
        raise PartFailed(str(error)) from None
    part = Part(action, arguments, task_vars, display, study)
    interrupts = Interrupts()
    if action._task.check_mode:
        return _rehearse(part, arguments, study, interrupts)
    hosts = [str(name) for name in task_vars["ansible_play_batch"]]
    if part.host == hosts[0]:
        _announce(part, study, hosts, arguments)
    output = Path(arguments["output"]).absolute() / study.study.workload_name
    try:
        line = meet(_folder(action, hosts), output / "trainer.log", _trainer_config(study, hosts, output, arguments))
    except TrainerFailed as error:
        raise PartFailed(str(error)) from None
    if isinstance(line, StudyOver):
        part.show(f"{part.host} came when the study had ended: no evaluations (see --forks)")
        return {"changed": False, "verdict": line.result["verdict"], "path": str(output)}
    result = _take_part(part, line, interrupts, output / "trainer.log")
    if result["verdict"] == "failed":
        raise PartFailed(f"the study failed: {result['reason']}")
    return {"changed": False, "verdict": result["verdict"], "path": str(output)}


def _take_part(part: Part, line: Line, interrupts: Interrupts, log: Path) -> dict[str, Any]:
    farewell, stopped, lost = "it failed", False, False
    try:
        line.send("hello", host=part.host)
        with interrupts.allowed():
            facts = part.prepare()
        line.send("ready", host=part.host, facts=facts)
        return serve(part.workplace(), line, interrupts, part.show)
    except Interrupted as interruption:
        farewell, stopped = str(interruption), True
        raise PartFailed(f"{interruption}: {part.host} was left as it was found") from None
    except Disconnected:
        raise PartFailed(f"{why_it_ended(log)}: {part.host} was left as it was found") from None
    except Refused as refusal:
        raise PartFailed(f"{refusal}: {part.host} was left as it was found") from None
    except (Lost, AnsibleConnectionFailure) as loss:
        farewell, lost = f"lost: {loss}", True
        raise AnsibleConnectionFailure(
            f"{loss}; if no connection comes back, the host takes its own values back within {part.lease} s"
        ) from None
    except (PartFailed, TimedOut, OSError) as failure:
        farewell = str(failure)
        raise failure if isinstance(failure, PartFailed) else PartFailed(f"{part.host}: {failure}") from None
    finally:
        _say(line, farewell, stopped)
        _leave(part, lost)


def _say(line: Line, farewell: str, stopped: bool) -> None:
    """First of all, so that the job goes to another host while this one is being cleaned up."""
    try:
        line.send("farewell", reason=farewell, stopped=stopped)
    except Disconnected:
        pass
    line.close()


def _leave(part: Part, lost: bool) -> None:
    try:
        part.leave()
    except AnsibleConnectionFailure as error:
        if not lost:
            raise
        # Out of reach: its lease puts the values back. Saying so is all that can be done from here.
        part.show(f"{part.host} is out of reach ({error}); it takes its own values back within {part.lease} s")


def _rehearse(part: Part, arguments: dict[str, Any], study: StudyFile, interrupts: Interrupts) -> dict[str, Any]:
    try:
        with interrupts.allowed():
            facts = part.prepare()
            rehearse(part.workplace(), facts, run_benchmark=arguments["dry_run"], show=part.show)
    except Lost as loss:
        raise AnsibleConnectionFailure(str(loss)) from None
    except (ApplyFailed, BenchmarkFailed, Interrupted, OSError, TimedOut) as failure:
        raise PartFailed(f"{part.host}: {failure}") from None
    finally:
        part.leave()
    return {"changed": False, "verdict": "none", "path": str(Path(arguments["output"]) / study.study.workload_name)}


def _announce(part: Part, study: StudyFile, hosts: list[str], arguments: dict[str, Any]) -> None:
    own, count = study.study, len(hosts)
    part.show(
        f"study {own.workload_name}: {own.training_config.total_timesteps} training evaluations of "
        f"{len(own.action_space)} parameters on {count} host{'s' if count > 1 else ''}, then "
        f"{own.verification.pairs} pairs a host to prove the best; store {_store_url(arguments)}"
    )
    part.show("Ctrl-C stops the run and puts every host's own values back")
    forks = int(context.CLIARGS["forks"])
    if forks < count:
        part.show(f"only {forks} of {count} hosts work at a time: raise forks (--forks {count}) to use them all")


def _trainer_config(study: StudyFile, hosts: list[str], output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "study": study.study.model_dump(mode="json", exclude_none=True),
        "hosts": hosts,
        "store": _store_url(arguments),
        "output": str(output),
        "seed": arguments["seed"],
        "playbook_pid": os.getppid(),
        "versions": {"ansible-core": ansible_version},
    }


def _store_url(arguments: dict[str, Any]) -> str:
    return arguments["store"] or f"sqlite:///{Path(arguments['output']).absolute() / 'autotune.sqlite'}"


def _folder(action: ActionBase, hosts: list[str]) -> Path:
    """The run's private folder: one for each task and batch, gone with ansible-playbook."""
    run = hashlib.sha256("\n".join([action._task._uuid, *hosts]).encode()).hexdigest()[:16]
    return Path(constants.DEFAULT_LOCAL_TMP) / f"autotune-{run}"
