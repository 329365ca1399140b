# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The examination of a host: connection, Python, facts, benchmark. Applies no value."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from .._plain import plain_line
from .._study.file import StudyError, StudyFile, read_study
from .._study.host_facts import HostFacts
from .._worker.benchmark import Benchmark, BenchmarkFailed, BenchmarkTimeout, MetricMissing
from .._worker.connections import UnsupportedConnection, to_host
from .._worker.dry_run import baseline_trials, forecast_of
from .._worker.host_session import HostSession, SessionFailed, remote_tmp, this_controller
from .._worker.module_call import ModuleFailed, call_module
from .._worker.ssh_config import SSHAddress, SSHConfig, ssh_config
from .._worker.transport import CommandTimeout, ConnectionLost, Transport, output_of
from . import connection_findings, host_findings
from .finding import Finding, Severity, of_message, problem, warning

_VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
_OLDEST = (3, 9)
_TRY_BY_HAND = "on the host, see whether it is overloaded or its disk full: uptime; df -h"
# Newest first, as Ansible's discovery; prints the first that is new enough.
_LOOK_FOR_PYTHON = r"""
for python in $(ls -r /usr/bin/python3.[0-9]* /usr/local/bin/python3.[0-9]* /usr/bin/python3 2> /dev/null); do
    case $python in *config | *[!0-9]m) continue ;; esac
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2> /dev/null && echo "$python" && exit
done
:
"""


@dataclass(frozen=True)
class Examination:
    """What there is to examine a host with. arguments: those of action `doctor`."""

    action: ActionBase
    arguments: Mapping[str, Any]
    task_vars: Mapping[str, Any]
    display: Display

    @property
    def host(self) -> str:
        return str(self.task_vars["inventory_hostname"])

    def _ansible(self, module: str, *arguments: str) -> str:
        """The command that calls one of our modules on the host alone."""
        inventories = [word for path in context.CLIARGS.get("inventory") or () for word in ("-i", path)]
        return shlex.join(["ansible", self.host, *inventories, "-m", f"autotune.kernel.{module}", *arguments])

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the host, until something makes it pointless to look any further."""
        try:
            transport = to_host(self.action._connection)
        except UnsupportedConnection as error:
            yield problem(self.host, str(error), "ansible_connection: ssh, as a variable of the host in the inventory")
            return
        except ConnectionLost as error:
            yield connection_findings.lost(self.host, error, self._ssh_config())
            return
        try:
            if found := self._python(transport):
                yield found
                return
            no_folder = self._temporary_folder(transport)
        except (ConnectionLost, CommandTimeout, OSError) as error:
            yield problem(self.host, str(error), _TRY_BY_HAND)
            return
        finally:
            transport.close()
        yield from [no_folder] if no_folder else []
        can_run = no_folder is None or no_folder.severity is Severity.WARNING
        yield from self._by_module(with_benchmark=self.arguments["benchmark"] and can_run)

    def _ssh_config(self) -> SSHConfig | None:
        try:
            return ssh_config(SSHAddress.of_connection(self.action._connection.get_option))
        except ConnectionLost:
            return None

    def _python(self, transport: Transport) -> Finding | None:
        """What is wrong with the interpreter that modules would run on."""
        given = self.action._templar.template(self.task_vars.get("ansible_python_interpreter") or "auto")
        interpreter = "auto" if str(given).startswith("auto") else str(given)
        version = None
        if interpreter != "auto":
            try:
                answer = output_of(transport, [*shlex.split(interpreter), "-c", _VERSION]).strip()
                version = answer if re.fullmatch(r"\d+(\.\d+)+", answer) else None
            except (OSError, ValueError):
                pass  # it does not exist, is no Python, or the quotes in its name are unbalanced
            if version and tuple(map(int, version.split("."))) >= _OLDEST:
                return None
        good = output_of(transport, ["sh", "-c", _LOOK_FOR_PYTHON]).strip() or None
        if interpreter == "auto" and good:
            return None
        return connection_findings.python(self.host, interpreter, version, good)

    def _temporary_folder(self, transport: Transport) -> Finding | None:
        """Have the folder for a benchmark made and removed again, as a run has it."""
        benchmark = Benchmark(transport, {}, 1.0, remote_tmp(self.action))
        try:
            benchmark.copy([])
        except OSError as error:
            return host_findings.no_folder(self.host, str(error))
        finally:
            benchmark.remove()
        return host_findings.noexec(self.host, benchmark.noexec) if benchmark.noexec else None

    def _by_module(self, with_benchmark: bool) -> Iterator[Finding]:
        study = self._study([])
        wanted = [parameter.param for parameter in study.study.action_space] if study else []
        persist = f"autotune-{study.study.workload_name}" if study else None
        before = time.time()
        try:
            facts = call_module(
                self.action, self.task_vars, "readiness_info", {"parameters": wanted, "persist": persist}
            )
        except ModuleFailed as failure:
            yield connection_findings.module_failed(self.host, failure, self._ansible("readiness_info"))
            return
        except AnsibleConnectionFailure as failure:
            yield problem(self.host, plain_line(failure), f"for details: {self._ansible('readiness_info')} -vvv")
            return
        yield from host_findings.clock(self.host, facts["time"], before, time.time())
        if study:
            try:
                study = self._study([HostFacts.from_module(self.host, facts)])
            except StudyError as error:
                for line in error.errors:
                    yield of_message(self.host, line, "correct the study")
                study = None
        restore = self._ansible("sysctl", "-a", "state=restored")
        yield from host_findings.findings(self.host, facts, study.study if study else None, this_controller(), restore)
        if study and with_benchmark:
            yield from self._benchmark(study, facts)

    def _study(self, hosts: list[HostFacts]) -> StudyFile | None:
        """The study as it is on these hosts; None without one, or if it is wrong anywhere, which is said once.

        Raises StudyError if it is wrong on these hosts only.
        """
        if not self.arguments["study"]:
            return None
        try:
            return read_study(Path(self.arguments["study"]), Path.cwd(), hosts, run_on=self.arguments["run_on"])
        except StudyError:
            if hosts:
                raise
            return None

    def _benchmark(self, study: StudyFile, facts: Mapping[str, Any]) -> Iterator[Finding]:
        """Run the benchmark with the values that the host has, as often as for a baseline."""
        content, found = study.study, facts["parameters"]
        elsewhere = {content.run_on, *(guard.run_on for guard in content.guard_benchmarks)} - {None}
        if not elsewhere <= set(self.task_vars["hostvars"]):
            return  # the controller's findings say so
        values = {name: found[name]["value"] for name in content.space.parameters if found[name]["value"] is not None}
        session = HostSession(self.action, {**self.arguments, "lease_margin": 0}, self.task_vars, self.display, study)
        try:
            prepared = session.context(values)
            yield from (
                of_message(self.host, load, "stop what uses it", Severity.WARNING) for load in prepared.background_load
            )
            trials = baseline_trials(prepared)
            forecast = forecast_of(prepared, trials, len(self.task_vars["ansible_play_hosts_all"]))
        except BenchmarkTimeout as failure:
            remedy = (
                f"training_config: {{benchmark_timeout: {3 * content.benchmark_timeout:g}}}, or a shorter benchmark"
            )
            yield problem(self.host, str(failure), remedy)
        except MetricMissing as failure:
            printed = ", or ".join(f"reward_metric: {name}" for name in failure.metrics)
            own = f"end the benchmark with a line `{content.reward_metric}: NUMBER`"
            yield problem(self.host, str(failure).partition("; ")[0], f"{printed}, or {own}" if printed else own)
        except BenchmarkFailed as failure:
            by_hand = f"run it by hand on the host, beside its files: {content.benchmark_command}"
            yield of_message(self.host, str(failure), by_hand)
        except SessionFailed as failure:
            yield of_message(self.host, str(failure).removeprefix(f"{self.host}: "), "correct the study")
        except (ConnectionLost, CommandTimeout, OSError) as failure:
            yield problem(self.host, str(failure), _TRY_BY_HAND)
        else:
            longest = max(trial.seconds["benchmark"] for trial in trials)
            yield from host_findings.benchmark_duration(self.host, longest, content.benchmark_timeout)
            if forecast and forecast.is_too_noisy:
                noise, gain, advice = forecast.lines
                yield warning(self.host, f"{noise}: {gain}", advice)
        finally:
            session.leave()
