# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The command `autotune`: a sentence, a subcommand, or a prompt that takes both.

Each subcommand is thin over a playbook, and prints the ansible-playbook command that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ..dashboard.readonly_store import ReadOnlyStore
from ..plugins.plugin_utils._outcome.result import Result, read
from ..plugins.plugin_utils._outcome.summary import summary
from ..plugins.plugin_utils._plain import few, plain, plain_line
from ..plugins.plugin_utils._store import url
from ..plugins.plugin_utils._store.database import cause
from ..plugins.plugin_utils._store.store import StoreError
from . import status
from .arguments import sentence_parser, subcommand_parser
from .library import study_path, workloads
from .playbooks import command, environment, hosts_of, playbook, runnable, shown
from .sentence import understand

_PROMPT = "autotune> "
_HERE = ("localhost", "127.0.0.1", "::1")
_NAME = re.compile("[a-z][a-z0-9_-]{0,62}")


class Refused(Exception):
    """What was asked for cannot be done; the message is one line."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command with these words, by default the command line's; returns its exit code."""
    given = list(sys.argv[1:] if words is None else words)
    if not given:
        return _prompt()
    if given[0] == "mcp":  # with options of its own
        from .mcp_server import main as serve

        serve(given[1:])
        return 0
    parser = subcommand_parser()
    try:
        if given[0] in SUBCOMMANDS or given[0].startswith("-"):
            arguments = parser.parse_args(given)
            return int(SUBCOMMANDS[arguments.subcommand](arguments)) if arguments.subcommand else 2
        return _sentence(sentence_parser().parse_args(given))
    except (Refused, OSError, ValueError, StoreError) as error:
        print(f"autotune: {plain(error)}", file=sys.stderr)
        return 2
    except SQLAlchemyError as error:
        print(f"autotune: the store cannot be read: {plain(cause(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _prompt() -> int:
    """Take sentences and subcommands until the end of input."""
    import readline  # noqa: F401 (gives input() its history and editing)

    print('Say what to tune, for example "optimize my system for memory-intensive workloads", or help, or quit.')
    while True:
        try:
            words = shlex.split(input(_PROMPT))
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        except ValueError as error:  # an open quotation mark
            print(f"autotune: {error}", file=sys.stderr)
            continue
        if words in (["quit"], ["exit"]):
            return 0
        if not words:
            continue
        try:
            main(["--help"] if words == ["help"] else words)
        except SystemExit:  # argparse has said what is wrong
            continue


def _sentence(arguments: argparse.Namespace) -> int:
    """Say what was understood, what it changes, where, and for how long; ask; run."""
    sentence = " ".join(arguments.sentence)
    library = {workload.name: workload for workload in workloads()}
    understood = understand(sentence, library)
    if understood.exception:
        raise Refused(f"say what to tune instead of what not to: '{understood.exception}' is more than words can tell")
    if len(understood.workloads) != 1:
        which = " or ".join(understood.workloads)
        problem = f"that may mean {which}" if which else "none of the workloads here is named in that"
        print(f"autotune: {problem}; there are:", file=sys.stderr)
        _print_workloads(understood.workloads or list(library), sys.stderr)
        print("Name one of them, or write your own: autotune new NAME", file=sys.stderr)
        return 2
    workload = library[understood.workloads[0]]
    content = workload.content()
    space = content["action_space"] if isinstance(content.get("action_space"), list) else []
    print(f"workload   {workload.name} ({', '.join(understood.words)}): {workload.title}")
    print(f"measures   {content['reward_metric']}, to {content.get('direction', 'maximise')}")
    names = ", ".join(axis["param"] for axis in space) or str(content.get("parameters"))
    print(f"changes    {names}; on loan: every host gets its own values back when the run ends")
    print(f"hosts      {arguments.inventory or 'this machine'}", flush=True)
    settings = _settings(arguments, workload.study)
    if not (arguments.yes or sys.stdin.isatty()):
        raise Refused("nobody can be asked here; add --yes to run it without asking")
    code = _run("tune", arguments, settings | {"dry_run": True})
    if code:
        return code
    if not (arguments.yes or _confirmed("Run it?")):
        print("nothing was changed")
        return 0
    return _run("tune", arguments, settings | {"dashboard": True})


def _settings(arguments: argparse.Namespace, study: Path | None = None) -> dict[str, object]:
    return {"study": str(study) if study else None, "output": arguments.output}


def _confirmed(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")
    except EOFError:
        print()
        return False


def _run(name: str, arguments: argparse.Namespace, settings: dict[str, object], *options: str) -> int:
    """Run a playbook on this terminal; Ctrl-C is Ansible's, other signals are passed on."""
    extra = [word for setting in arguments.extra_vars for word in ("-e", setting)]
    play = name if name.endswith(".yml") else playbook(name)
    words = command(play, arguments.inventory, settings, *extra, *options, *arguments.options)
    print(f"$ {shown(words, arguments.store)}", file=sys.stderr, flush=True)
    child = subprocess.Popen(runnable(words), env={**os.environ, **environment(arguments.store)})
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    former = {number: handler for number, handler in former.items() if handler != signal.SIG_IGN}  # as nohup sets it
    for number in former:
        signal.signal(number, lambda number, frame: child.send_signal(number))
    try:
        while True:
            try:
                code = child.wait()
                return code if code >= 0 else 128 - code  # as a shell says that a signal ended it
            except KeyboardInterrupt:  # the terminal has sent it to Ansible as well, which restores the hosts first
                continue
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _tune(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments, study_path(arguments.study))
    if arguments.dry_run:
        settings["dry_run"] = True
    if arguments.resume:
        settings["resume"] = True
    return _run("tune", arguments, settings)


def _check(arguments: argparse.Namespace) -> int:
    return _run("check", arguments, {"study": str(study_path(arguments.study))})


def _compare(arguments: argparse.Namespace) -> int:
    sets = {name: _learned(Path(arguments.output, name)) for name in arguments.learned}
    settings: dict[str, object] = {"study": str(study_path(arguments.study)), "rounds": arguments.rounds}
    return _run("tune", arguments, settings | {"compare": sets or {"original values again": {}}})


def _learned(folder: Path) -> dict[str, Any]:
    result = read(folder)
    if not result.improved:
        raise Refused(f"study {result.study_id} of {folder.name} ended as {result.verdict}: it has no learned values")
    return dict(result.best_config or {})


def _new(arguments: argparse.Namespace) -> int:
    if not _NAME.fullmatch(arguments.name):
        raise Refused("a workload's name has lower-case letters, digits, - and _, and begins with a letter")
    arguments.inventory = ""
    return _run("new", arguments, {"workload": arguments.name, "folder": arguments.folder})


def _doctor(arguments: argparse.Namespace) -> int:
    return _run(
        "doctor", arguments, _settings(arguments, None if arguments.study is None else study_path(arguments.study))
    )


def _dashboard(arguments: argparse.Namespace) -> int:
    arguments.inventory = ""
    return _run("review", arguments, _settings(arguments) | {"dashboard_state": arguments.state})


def _apply(arguments: argparse.Namespace) -> int:
    return _roll(arguments, "apply.yml", *(["--check", "--diff"] if arguments.preview else []))


def _rollback(arguments: argparse.Namespace) -> int:
    return _roll(arguments, "rollback.yml", *(["--check", "--diff"] if arguments.preview else []))


def _roll(arguments: argparse.Namespace, name: str, *options: str) -> int:
    path = Path(arguments.output, arguments.workload, name)
    if not path.is_file():
        raise Refused(f"{path} does not exist: no role was learned for {arguments.workload}; see: autotune list")
    if arguments.inventory is None and (hosts := _elsewhere(read(path.parent))):
        raise Refused(f"{arguments.workload} was learned on {few(hosts)}; name the inventory: -i INVENTORY")
    return _run(str(path), arguments, {}, *options)


def _elsewhere(result: Result) -> list[str]:
    """The hosts of a study that was not run on this machine."""
    return [host for host in result.per_host if host not in _HERE]


def _list(arguments: argparse.Namespace) -> int:
    print("workloads of the library:")
    _print_workloads([workload.name for workload in workloads()], sys.stdout)
    print("\nstudies:")
    print("\n".join(status.lines(_store(arguments))) if _has_store(arguments) else f"  none in {arguments.output}")
    return 0


def _print_workloads(names: Sequence[str], file: Any) -> None:
    for workload in workloads():
        if workload.name in names:
            print(f"  {workload.name:10} {workload.title}", file=file)


def _status(arguments: argparse.Namespace) -> int:
    print("\n".join(status.lines(_store(arguments), size=1)))
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    print(status.stop(_store(arguments), restore=arguments.restore))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    latest = None if arguments.workload else status.latest(_store(arguments))
    folder = Path(arguments.output, latest["workload_name"] if latest else arguments.workload)
    result = read(folder)
    if latest and latest["id"] != result.study_id:
        state = status.line(latest).strip()
        print(f"autotune: this is the result of study {result.study_id}; the latest is {state}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(result.model_dump(mode="json")))
    else:
        inventory = arguments.inventory or ("INVENTORY" if _elsewhere(result) else None)
        print(summary(result, folder, hosts_of(inventory)))
    return 0


def _has_store(arguments: argparse.Namespace) -> bool:
    return bool(arguments.store or os.environ.get(url.VARIABLE)) or Path(arguments.output, "autotune.sqlite").exists()


def _store(arguments: argparse.Namespace) -> ReadOnlyStore:
    if not _has_store(arguments):
        raise Refused(f"there are no studies in {plain_line(arguments.output)}; start one: autotune run STUDY")
    return ReadOnlyStore(url.chosen(arguments.store, arguments.output))


SUBCOMMANDS = {
    "run": _tune,
    "check": _check,
    "compare": _compare,
    "new": _new,
    "list": _list,
    "status": _status,
    "stop": _stop,
    "show": _show,
    "explain": _show,
    "apply": _apply,
    "rollback": _rollback,
    "doctor": _doctor,
    "dashboard": _dashboard,
}
