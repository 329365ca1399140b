# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The examination of the controller, the inventory and the study file. What may be missing is imported late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._store import url
from . import controller_facts, controller_findings
from .finding import STUDY, Finding


@dataclass(frozen=True)
class Command:
    """What ansible-playbook was called with. groups: the inventory's, by name. settings: those given with -e."""

    groups: Mapping[str, Sequence[str]]
    forks: int
    settings: Sequence[str]


def findings(arguments: Mapping[str, Any], command: Command, broken: ImportError | None) -> Iterator[Finding]:
    """arguments: those of action `doctor`. broken: why the hosts could not be examined."""
    needed = controller_facts.requirements()
    unfit = list(controller_findings.packages(needed, controller_facts.versions(needed)))
    yield from unfit
    hosts, names = arguments["hosts"], list(command.groups["all"])
    yield from controller_findings.inventory(arguments["target"], hosts, names, {*names, *command.groups})
    yield from _folders(arguments)
    try:
        if broken:
            raise broken
        yield from _server(arguments)
        yield from _command(arguments, command)
        yield from _page(arguments)
        yield from _study(arguments, names)
    except ImportError as error:
        if not unfit:
            yield controller_findings.broken_package(error)


def _folders(arguments: Mapping[str, Any]) -> Iterator[Finding]:
    yield from controller_findings.folder("output", "~/learned", *controller_facts.room(Path(arguments["output"])))
    scheme, is_sqlite, path = url.chosen(arguments["store"], arguments["output"]).partition("sqlite:///")
    if is_sqlite and not scheme and Path(path).parent != Path(arguments["output"]).absolute():
        other = f"sqlite:///{Path.home()}/autotune.sqlite"
        yield from controller_findings.folder("store", other, *controller_facts.room(Path(path).parent))


def _server(arguments: Mapping[str, Any]) -> Iterator[Finding]:
    """A SQLite file is created where a study starts; a server must be there."""
    from .._store.database import StoreError, check_server

    store = url.chosen(arguments["store"], arguments["output"])
    if not store.startswith("sqlite"):
        try:
            check_server(store)
        except StoreError as error:
            yield controller_findings.store(str(error))


def _command(arguments: Mapping[str, Any], command: Command) -> Iterator[Finding]:
    from .._worker.preflight import misspelt_setting, too_few_forks

    yield from controller_findings.misspelt(misspelt_setting(command.settings, arguments, "doctor"))
    yield from controller_findings.forks(too_few_forks(command.forks, len(arguments["hosts"])))


def _page(arguments: Mapping[str, Any]) -> Iterator[Finding]:
    from ansible_collections.autotune.kernel.dashboard.server import CannotListen, listen
    from ansible_collections.autotune.kernel.dashboard.settings import Settings, is_loopback

    from .._dashboard_process import running

    host, port = arguments["dashboard_host"], arguments["dashboard_port"]
    if not running(Path(arguments["output"])):  # it is there already
        try:
            listen(Settings(host, port)).close()
        except CannotListen as error:
            yield from controller_findings.page(str(error), port, controller_facts.free_port("127.0.0.1"))
    if not is_loopback(host):
        yield from controller_findings.firewalls(controller_facts.firewalls(port), host, port)


def _study(arguments: Mapping[str, Any], names: Sequence[str]) -> Iterator[Finding]:
    from .._study.file import StudyError, read_study

    if not arguments["study"]:
        return
    try:
        study = read_study(Path(arguments["study"]), Path.cwd(), run_on=arguments["run_on"]).study
    except StudyError as error:
        yield from controller_findings.study_errors(STUDY, error.errors)
        return
    wanted = {study.run_on, *(guard.run_on for guard in study.guard_benchmarks)}
    yield from controller_findings.load_generators(sorted(filter(None, wanted)), names)
