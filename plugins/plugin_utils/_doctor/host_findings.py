# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From the facts of a host, those of module readiness_info, to findings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from .._study.study import Study
from .._worker.lease_client import describe_expiry
from .._worker.preflight import cautious_start_problem, holder_is_gone, notices, problems
from .finding import Finding, of_message, problem, warning

_LARGEST_SKEW = 10.0  # seconds; beyond, the logs of host and controller can hardly be compared
_OTHER_FOLDER = "ansible_remote_tmp: /var/tmp/autotune, as a variable of the host in the inventory"
_ELSEWHERE = ("", 0)  # no host's boot and namespace: that a host is the controller is no fault


def findings(
    host: str, facts: Mapping[str, Any], study: Study | None, controller: str, restore: str
) -> Iterator[Finding]:
    """All that the facts say.

    study: None if none is to run. controller: as this_controller() has it. restore: the command that ends a lease.
    """
    yield from rights(host, facts, study)
    yield from preflight(host, facts, study)
    yield from lease(host, facts, controller, restore)
    yield from overridden(host, facts)


def rights(host: str, facts: Mapping[str, Any], study: Study | None) -> Iterator[Finding]:
    """Which parameters this account cannot set: of a study's, any; of the catalogue's, all."""
    if facts["gate_message"]:
        yield problem(host, facts["gate_message"], f"apply role autotune.kernel.access to {host}, or use --become")
        return
    found = facts["parameters"]
    by_reason: dict[str, list[str]] = {}
    for name in study.space.parameters if study else found:
        if _is_fixed(found[name]):
            by_reason.setdefault(found[name]["why_not_writable"], []).append(name)
    if not study and any(state["writable"] for state in found.values()):
        return  # a study may well do without the others
    for reason, names in by_reason.items() if study else _longest(by_reason):
        why, dummy, advice = reason.partition(": ")
        others = f" and {len(names) - 1} more parameters" if len(names) > 1 else ""
        yield problem(host, f"{names[0]}{others} cannot be set: {why}", _how_to_write(why, advice, names))


def _is_fixed(state: Mapping[str, Any]) -> bool:
    return bool(state["exists"] and state["readable"] and not state["writable"])


def _longest(by_reason: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    return sorted(by_reason.items(), key=lambda item: -len(item[1]))[:1]


def _how_to_write(why: str, advice: str, names: list[str]) -> str:
    if "may not write" in why:
        return "add --become, or apply role autotune.kernel.access for the account, as in docs/how-to/install.md"
    if "read-only" in why:
        return f"{advice}; unless it is a container: mount -o remount,rw {why.split()[0]}"
    return advice or f"remove {', '.join(names)} from the study's action_space"


def preflight(host: str, facts: Mapping[str, Any], study: Study | None) -> Iterator[Finding]:
    """What a run checks before it writes anything, and who else sets parameters."""
    names = study.space.parameters if study else []
    # Those that cannot be set are rights()'s.
    others = {name: facts["parameters"][name] for name in names if not _is_fixed(facts["parameters"][name])}
    rest = {**facts, "gate_message": None, "parameters": others}
    optional = [parameter.param for parameter in study.action_space if parameter.optional] if study else []
    for line in problems(rest, allow_unsafe=study.allow_unsafe if study else [], optional=optional):
        yield of_message(host, line, "remove it from the study's action_space")
    if study is None:
        return
    for line in study.unsafe_on(facts):
        yield of_message(host, line, "narrow the range in the study's action_space")
    values = {name: facts["parameters"][name]["original"] for name in names}
    if study.exploration == "cautious" and None not in values.values():
        for line in cautious_start_problem(study.space, values):
            yield of_message(host, line, "exploration: free")
    for line in notices({**facts, "parameters": {name: facts["parameters"][name] for name in names}}, _ELSEWHERE):
        yield warning(host, line, "tune the machine itself, or remove them from the study's action_space")


def lease(host: str, facts: Mapping[str, Any], controller: str, restore: str) -> Iterator[Finding]:
    """A lease that is there already, the end of the last one, and whether there could be one."""
    if held := facts["lease"]:
        holder, seconds = held["holder"], held["expires_in"]
        if seconds < 0:
            what = f"the lease of {holder} expired {-seconds:.0f} s ago, and its watchdog has not restored the values"
            yield problem(host, what, restore)
        elif holder_is_gone(holder, controller):
            what = f"the lease of {holder}, a run that has ended, is in force for another {seconds:.0f} s"
            yield warning(host, what, f"wait, or at once: {restore}")
        else:
            what = f"{holder} holds a lease for another {seconds:.0f} s"
            yield problem(host, what, f"wait for the end of that run, or stop it; if it is gone: {restore}")
    verdict = facts["verdict"]
    if verdict and not verdict["verified"]:
        yield problem(host, describe_expiry(verdict), restore)
    if why := facts["lease_message"]:
        remedy = "on the host, check df -h /run, then: mount -o remount,rw,size=64m /run"
        yield problem(host, f"no lease can be stored on this host: {why}", remedy)


def overridden(host: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Files that would undo a learned role at boot."""
    for found in facts["overridden"]:
        line = found["path"].replace("/", "[./]")
        edit = ["sed", "-i.bak", "-E", f"\\,^[[:space:]-]*{line}[[:space:]]*(=|$),d", found["file"]]
        is_glob = re.search(r"[*?]", found["path"])
        remedy = f"remove {found['path']} from {found['file']}" if is_glob else f"on the host: {shlex.join(edit)}"
        yield warning(host, found["message"], remedy)


def clock(host: str, there: float, before: float, after: float) -> Iterator[Finding]:
    """there: the host's clock, read between `before` and `after` by the controller's, in seconds since 1970."""
    skew = max(before - there, there - after, 0.0)
    if skew > _LARGEST_SKEW:
        direction = "ahead of" if there > after else "behind"
        what = f"its clock is {skew:.0f} s {direction} the controller's"
        yield warning(host, what, "on the host: timedatectl set-ntp true (or: chronyc makestep)")


def no_folder(host: str, error: str) -> Finding:
    """error: why the benchmark cannot have a folder of its own."""
    return problem(host, error, _OTHER_FOLDER)


def noexec(host: str, folder: str) -> Finding:
    """folder: that for temporary files."""
    what = f"{folder} is mounted noexec, so that a benchmark in it can only be run by its interpreter's name"
    return warning(host, what, f"{_OTHER_FOLDER}, or benchmark_command: sh BENCHMARK")


def benchmark_duration(host: str, seconds: float, timeout: float) -> Iterator[Finding]:
    """seconds: of the longest run. timeout: the study's."""
    if seconds > 0.7 * timeout:
        what = f"the benchmark takes {seconds:.1f} s of its timeout of {timeout:g} s; slower values would end it"
        yield warning(host, what, f"training_config: {{benchmark_timeout: {3 * seconds:.0f}}}")
