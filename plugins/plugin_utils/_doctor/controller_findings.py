# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From what is known of the controller and the inventory to findings."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from operator import eq, ge, lt
from pathlib import Path

from .finding import CONTROLLER, Finding, of_message, problem, warning

# Bytes that a long study's store, logs and report fit into several times over.
_ROOM = 200 * 2**20
_ORDER = {">=": ge, "<": lt, "==": eq}


def packages(requirements: Iterable[str], installed: Mapping[str, str]) -> Iterator[Finding]:
    """requirements: as in pyproject.toml, `name>=1,<2`. installed: versions by name; those without one are missing."""
    missing, unfit = [], []
    for requirement in requirements:
        name, *dummy = re.split("[<>=]", requirement)
        if name not in installed:
            missing.append(requirement)
        elif not _suits(installed[name], requirement.removeprefix(name)):
            unfit.append((requirement, f"{name} {installed[name]}"))
    if missing:
        yield problem(CONTROLLER, f"missing Python packages: {', '.join(missing)}", _pip(missing))
    for wanted, found in unfit:
        yield problem(CONTROLLER, f"{found} is installed, {wanted} is needed", _pip([wanted]))


def _suits(version: str, limits: str) -> bool:
    found = _release(version)
    return all(_ORDER[operator](found, _release(wanted)) for operator, wanted in re.findall("([<>=]+)([^,]+)", limits))


def _release(version: str) -> list[int]:
    """The numbers of a version that are compared: `2.13.0+cpu` is another build of 2.13, and `3.0rc1` nearly 3."""
    numbers = [int(number) for number in re.findall(r"\d+", re.split("[^0-9.]", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _pip(requirements: Sequence[str]) -> str:
    return shlex.join([sys.executable, "-m", "pip", "install", *requirements])


def broken_package(error: ImportError) -> Finding:
    """error: of a package that is installed."""
    reinstall = _pip(["--force-reinstall", error.name or "PACKAGE"])
    return problem(CONTROLLER, f"a Python package cannot be imported: {error}", reinstall)


def store(error: str) -> Finding:
    """error: why the database cannot be used."""
    return of_message(
        CONTROLLER, error, "start the server, or leave out `store` for a SQLite file in the output folder"
    )


def misspelt(message: str | None) -> Iterator[Finding]:
    """message: that a setting seems to be misspelt, if so."""
    if message:
        what, dummy, guess = message.partition("; ")
        yield problem(CONTROLLER, what, f"-e {_guessed(guess)}=VALUE")


def inventory(target: str, hosts: Sequence[str], names: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    """hosts: those that `target` matches. names: all hosts of the inventory. known: its hosts and groups."""
    if not names and not hosts:
        yield problem(
            CONTROLLER,
            "the inventory has no hosts",
            "-i INVENTORY, a file such as inventories/example/hosts.yml; for this machine: -i localhost, -c local",
        )
    elif not hosts:
        similar = get_close_matches(target, known, 1, 0.4) or sorted(known)[:1]
        yield problem(CONTROLLER, f"no host of the inventory matches {target}", f"-e target={shlex.quote(similar[0])}")


def load_generators(wanted: Iterable[str], names: Collection[str]) -> Iterator[Finding]:
    """wanted: the hosts that are to run benchmarks. names: all hosts of the inventory."""
    for name in wanted:
        if name not in names:
            similar = get_close_matches(name, names, 1, 0.4)
            remedy = f"-e run_on={shlex.quote(similar[0])}" if similar else f"add {name} to the inventory"
            yield problem(CONTROLLER, f"run_on names {name}, which is not in the inventory", remedy)


def forks(message: str | None) -> Iterator[Finding]:
    """message: that there are too few, if so."""
    if message:
        what, dummy, remedy = message.partition("; ")
        yield warning(CONTROLLER, what, f"{remedy}, or set `forks` in section [defaults] of ansible.cfg")


def folder(setting: str, other: str, path: Path, free: int, writable: bool) -> Iterator[Finding]:
    """setting: names the folder; other: a value for it. path: what exists of it. free: bytes on its file system."""
    remedy = f"-e {setting}={other}"
    if not path.is_dir():
        yield problem(CONTROLLER, f"{setting}: {path} is not a folder", remedy)
    elif not writable:
        chown = f"sudo chown $(id -un) {shlex.quote(str(path))}"
        yield problem(CONTROLLER, f"{setting}: {path} cannot be written", f"{remedy}, or {chown}")
    elif free < _ROOM:
        what = f"{setting}: only {free >> 20} MiB are free in {path}"
        yield warning(CONTROLLER, what, f"{remedy}, or free {_ROOM >> 20} MiB there")


def page(message: str | None, port: int, free_port: int) -> Iterator[Finding]:
    """message: why the dashboard cannot listen, if so. free_port: one that it could listen on."""
    if message:
        yield warning(
            CONTROLLER,
            f"the dashboard {message.partition(';')[0]}",
            f"-e dashboard_port={free_port}, or find what uses it: ss -ltnp sport = :{port}",
        )


def firewalls(active: Mapping[str, bool | None], host: str, port: int) -> Iterator[Finding]:
    """active: of the firewalls ufw and firewalld, whether each lets the port through; None if that is unknown."""
    remedies = {"ufw": f"ufw allow {port}/tcp", "firewalld": f"firewall-cmd --add-port={port}/tcp"}
    queries = {"ufw": "sudo ufw status", "firewalld": f"sudo firewall-cmd --query-port={port}/tcp"}
    where = f"other machines' access to the dashboard at {host} port {port}"
    for name, is_open in active.items():
        if is_open is None:
            unknown = f"{name} is active, and whether it blocks {where} could not be found out"
            yield warning(CONTROLLER, unknown, queries[name])
        elif not is_open:
            yield warning(CONTROLLER, f"{name} blocks {where}", remedies[name])


def study_errors(where: str, errors: Iterable[str]) -> Iterator[Finding]:
    """errors: lines of a StudyError, each with its place."""
    for error in errors:
        found = of_message(where, error, f"correct {error.partition(':')[0]}, as docs/reference/study.md describes it")
        yield replace(found, remedy=_guessed(found.remedy, "write {} instead"))


def _guessed(question: str, edit: str = "{}") -> str:
    """`did you mean that?` as an edit; anything else as it is."""
    guess = re.fullmatch(r"did you mean (\S+)\?", question)
    return edit.format(guess[1]) if guess else question
