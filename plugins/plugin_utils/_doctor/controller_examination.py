# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The examination of the controller, the inventory and the study file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import controller_facts, controller_findings
from .finding import STUDY, Finding


def findings(arguments: Mapping[str, Any], groups: Mapping[str, Sequence[str]], forks: int) -> Iterator[Finding]:
    """arguments: those of action `doctor`. groups: the inventory's. forks: as given to ansible-playbook."""
    needed = controller_facts.requirements()
    unfit = list(controller_findings.packages(needed, controller_facts.versions(needed)))
    yield from unfit
    hosts, names = arguments["hosts"], list(groups["all"])
    yield from controller_findings.inventory(arguments["target"], hosts, names, {*names, *groups})
    output = Path(arguments["output"])
    yield from controller_findings.folder("output", *controller_facts.room(output))
    store = arguments["store"] or ""
    if store.startswith("sqlite:///"):
        path = Path(store.removeprefix("sqlite:///")).parent
        yield from controller_findings.folder("store", *controller_facts.room(path))
    try:
        # Imported late: what these import may be missing.
        yield from _forks(forks, len(hosts))
        yield from _page(arguments, output)
        yield from _study(arguments, names)
    except ImportError:
        if not unfit:
            raise


def _forks(forks: int, hosts: int) -> Iterator[Finding]:
    from .._worker.preflight import too_few_forks

    yield from controller_findings.forks(too_few_forks(forks, hosts))


def _page(arguments: Mapping[str, Any], output: Path) -> Iterator[Finding]:
    from ansible_collections.autotune.kernel.dashboard.server import CannotListen, listen
    from ansible_collections.autotune.kernel.dashboard.settings import Settings, is_loopback

    from .._dashboard_process import running

    host, port = arguments["dashboard_host"], arguments["dashboard_port"]
    if not running(output):  # it is there already
        try:
            listen(Settings(host, port)).close()
        except CannotListen as error:
            yield from controller_findings.page(str(error), port, controller_facts.free_port("127.0.0.1"))
    if not is_loopback(host):
        yield from controller_findings.firewall(controller_facts.closed_firewalls(port), host, port)


def _study(arguments: Mapping[str, Any], names: Sequence[str]) -> Iterator[Finding]:
    from .._study.file import StudyError, read_study

    if not arguments["study"]:
        return
    try:
        study = read_study(Path(arguments["study"]), Path.cwd(), run_on=arguments["run_on"]).study
    except StudyError as error:
        yield from controller_findings.study_errors(STUDY, error.errors)
        return
    wanted = {workload.run_on for workload in (study, *study.guard_benchmarks) if workload.run_on}
    yield from controller_findings.load_generators(sorted(wanted), names)
