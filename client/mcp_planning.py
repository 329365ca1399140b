# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Works out what a run, a rollout or a rollback would change, without changing anything."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..dashboard.configuration import axes
from ..plugins.plugin_utils._outcome.learned_role import MARK, plan
from ..plugins.plugin_utils._outcome.result import read
from ..plugins.plugin_utils._plain import brief, few, plain_line
from ..plugins.plugin_utils._study.file import StudyFile, read_study
from ..plugins.plugin_utils._study.study import Study
from .mcp_plans import Change, Request
from .mcp_processes import Output, run
from .mcp_site import Site, inside
from .playbooks import command, playbook

# A pattern of Ansible's, without what it or its templates read as more than that.
_TARGET = re.compile(r"[\w*.][\w*.:&!,\[\]-]{0,200}", re.ASCII)
# Of apply.yml, which an inventory may set: a plan is bound to them as it is to what Ansible needs to reach a host.
_SETTINGS = ("batches", "health_command", "health_seconds", "lease_seconds")
_PATIENCE = 60.0  # seconds; clients give up on a tool soon after
_LAST_LINES = 60


class NoPlan(ValueError):
    """There is nothing to plan; the message says why and what to do."""


def change_of(site: Site, request: Request) -> Change:
    """What the request would change. Raises NoPlan, PathRefused, StudyError, ResultError, ForeignFileError, OSError."""
    match request.kind:
        case "run":
            return _run(site, request)
        case "rollout":
            return _rollout(site, request)
        case "rollback":
            return _rollback(site, request)


def study_of(site: Site, text: str) -> StudyFile:
    """The study at a path; all that it copies to hosts is in the same places. Raises PathRefused, StudyError."""
    path = site.study(text)
    found = read_study(path, site.root)
    for file in _sources(path, found):
        site.study(str(file))
    return found


def preview(site: Site, change: Change) -> Output:
    """What the playbook says in check mode, which contacts the hosts. Raises OSError."""
    return run(site, [*change.command, "--check", "--diff"], _PATIENCE)


def lines_of(output: Output) -> list[str]:
    """Its last lines."""
    lines = [plain_line(line) for line in f"{output.stdout}\n{output.stderr}".splitlines() if line.strip()]
    return lines[-_LAST_LINES:]


def _run(site: Site, request: Request) -> Change:
    found = study_of(site, request.subject)
    path = site.study(request.subject)
    values: dict[str, str] = {}
    for axis in axes(found.study.model_dump(mode="json")):
        values[axis.label] = " or ".join(axis.choices) if axis.choices else f"{axis.low:.15g} to {axis.high:.15g}"
    settings = {
        "study": _from(site, path),
        "output": _from(site, site.output),
    }
    files = _digests(site, [path, *_sources(path, found)])
    change = _change(site, request, found.study.workload_name, playbook("tune"), settings, values, files)
    return replace(change, load_generators=_load_generators(site, request, found.study))


def _load_generators(site: Site, request: Request, study: Study) -> dict[str, dict[str, object]]:
    """The hosts on which benchmarks run in place of the tuned ones, with the variables that say how they are reached.

    They need not be among the hosts that are tuned.
    """
    named = (study.run_on, *(guard.run_on for guard in study.guard_benchmarks))
    names = sorted({name for name in named if name})
    if not names or request.inventory is None:
        return {name: {} for name in names}
    known = _hosts(site, _from(site, site.path(request.inventory)), None)
    if missing := [name for name in names if name not in known]:
        raise NoPlan(f"run_on names {few(missing)}, which the inventory does not have; add it there")
    return {name: known[name] for name in names}


def _sources(path: Path, found: StudyFile) -> list[Path]:
    copied = [*found.files, *(file for files in found.guard_files.values() for file in files)]
    guards = [path.parent / guard.study for guard in found.study.guard_benchmarks if guard.study]
    return [*(source.absolute() for source, dummy in copied), *guards]


def _rollout(site: Site, request: Request) -> Change:
    folder = site.learned(request.subject)
    result = read(folder)
    if not result.improved:
        raise NoPlan(f"study {result.workload_name} ended as {result.verdict}: there is nothing to roll out")
    found = plan(folder)
    if found.changed:
        names = ", ".join(str(path.relative_to(folder)) for path in [*found.writes, *found.removals])
        raise NoPlan(
            f"{names} in {_from(site, folder)} differ from what result.json says: edited, or written by another "
            f"version; let the user apply the role, or run the study again"
        )
    if any((folder / name).exists() for name in ("group_vars", "host_vars")):
        raise NoPlan(f"{_from(site, folder)} has variables of its own; let the user apply the role")
    values = {change.param: str(change.learned) for change in result.changes}
    change = _learned(site, request, folder / "apply.yml", values)
    for host, variables in change.hosts.items():
        if name := next((name for name in variables if name.startswith(f"{result.role}_")), None):
            raise NoPlan(f"the inventory sets {name} for {host}, which the role would apply; let the user apply it")
    return change


def _rollback(site: Site, request: Request) -> Change:
    file = site.learned(request.subject) / "rollback.yml"
    if not file.is_file():
        raise NoPlan(f"{_from(site, file)} does not exist: no study has written a role for {request.subject}")
    if MARK not in "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[:5]):
        raise NoPlan(f"{_from(site, file)} was not written by autotune.kernel; let the user roll back")
    return _learned(site, request, file, {})


def _learned(site: Site, request: Request, file: Path, values: Mapping[str, str]) -> Change:
    # Ansible reads more than the playbook there: roles, variables, plugins.
    found = sorted(file.parent.rglob("*"))
    for path in found:
        inside(str(path), [site.root])
    files = [path for path in found if path.is_file() and path.suffix != ".log"]
    bound = [f"{request.subject.replace('-', '_')}_", *_SETTINGS]
    return _change(site, request, request.subject, _from(site, file), {}, values, _digests(site, files), bound)


def _change(
    site: Site,
    request: Request,
    workload: str,
    play: str,
    settings: Mapping[str, object],
    values: Mapping[str, str],
    files: Mapping[str, str],
    bound: Sequence[str] = (),
) -> Change:
    if request.target is not None and not _TARGET.fullmatch(request.target):
        raise NoPlan(f"target '{brief(request.target)}' is not a pattern of hosts; name hosts or groups, as in web:db")
    inventory = None if request.inventory is None else _from(site, site.path(request.inventory))
    hosts = _hosts(site, inventory, request.target, bound)
    words = command(play, inventory, {**settings, "target": request.target if inventory else None})
    return Change(request, workload, hosts, values, files, tuple(words))


def _hosts(
    site: Site, inventory: str | None, target: str | None, bound: Sequence[str] = ()
) -> dict[str, dict[str, object]]:
    """The hosts, each with the variables that say how Ansible reaches it, and those that begin with one of `bound`.

    Raises NoPlan, OSError.
    """
    if inventory is None:
        if target not in (None, "all", "localhost"):
            raise NoPlan(f"without an inventory, only this machine is tuned, not '{target}'; name an inventory")
        return {"localhost": {"ansible_connection": "local"}}
    limit = ["--limit", target] if target else []
    output = run(site, ["ansible-inventory", "-i", inventory, "--list", *limit], _PATIENCE)
    try:
        groups = json.loads(output.stdout) if output.exit_code == 0 else None
    except ValueError:
        groups = None
    if not isinstance(groups, dict):
        last = lines_of(output)[-1:] or ["it took too long"]
        raise NoPlan(f"ansible-inventory cannot read {inventory}: {last[0]}")
    variables = groups.pop("_meta", {}).get("hostvars", {})
    names = dict.fromkeys(name for group in groups.values() for name in group.get("hosts", ()))
    if not names:
        raise NoPlan(f"no host of {inventory} matches '{target or 'all'}'; name hosts or groups that it has")
    return {
        name: {key: value for key, value in variables.get(name, {}).items() if key.startswith(("ansible_", *bound))}
        for name in sorted(names)
    }


def _digests(site: Site, files: Iterable[Path]) -> dict[str, str]:
    return {_from(site, path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _from(site: Site, path: Path) -> str:
    """The path as one types it in root."""
    return str(path.relative_to(site.root)) if path.is_relative_to(site.root) else str(path)
