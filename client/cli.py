# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The command `autotune`: a sentence, a subcommand, or a prompt that takes both.

Each subcommand is thin over a playbook, and prints the ansible-playbook command that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..dashboard.readonly_store import ReadOnlyStore
from ..plugins.plugin_utils._outcome.result import ResultError, read
from ..plugins.plugin_utils._outcome.summary import summary
from ..plugins.plugin_utils._plain import plain, plain_line
from ..plugins.plugin_utils._store.store import StoreError
from ..plugins.plugin_utils._study.errors import StudyError
from . import status
from .library import study_path, workloads
from .playbooks import command, environment, hosts_of, playbook, runnable, shown
from .sentence import understand

_PROMPT = "autotune> "


class Refused(Exception):
    """What was asked for cannot be done; the message is one line."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command with these words, by default the command line's; returns its exit code."""
    given = list(sys.argv[1:] if words is None else words)
    if not given:
        return _prompt()
    parser = _parser()
    try:
        if given[0] in SUBCOMMANDS or given[0].startswith("-"):
            arguments = parser.parse_args(given)
            return int(SUBCOMMANDS[arguments.subcommand](arguments)) if arguments.subcommand else 2
        return _sentence(_sentence_parser().parse_args(given))
    except (Refused, FileNotFoundError, ResultError, StoreError, StudyError) as error:
        print(f"autotune: {plain(error)}", file=sys.stderr)
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
    code = _run("tune", arguments, settings | {"dry_run": True})
    if code or not (arguments.yes or _confirmed("Run it?")):
        return code
    return _run("tune", arguments, settings | {"dashboard": True})


def _settings(arguments: argparse.Namespace, study: Path | None = None) -> dict[str, object]:
    return {"study": str(study) if study else None, "output": arguments.output, "store": arguments.store}


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Refused("nobody can be asked here; add --yes to go on without asking")
    return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")


def _run(name: str, arguments: argparse.Namespace, settings: dict[str, object], *options: str) -> int:
    """Run a playbook on this terminal; Ctrl-C is Ansible's, other signals are passed on."""
    extra = [word for setting in arguments.extra_vars for word in ("-e", setting)]
    play = name if name.endswith(".yml") else playbook(name)
    words = command(play, arguments.inventory, settings, *extra, *options, *arguments.options)
    print(f"$ {shown(words)}", file=sys.stderr, flush=True)
    child = subprocess.Popen(runnable(words), env={**os.environ, **environment()})
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: child.send_signal(number))
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the terminal has sent it to Ansible as well, which restores the hosts first
                continue
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)


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
    sets = {name: dict(read(Path(arguments.output, name)).best_config or {}) for name in arguments.learned}
    settings: dict[str, object] = {"study": str(study_path(arguments.study)), "rounds": arguments.rounds}
    return _run("tune", arguments, settings | {"compare": sets or {"original values again": {}}})


def _new(arguments: argparse.Namespace) -> int:
    arguments.inventory = ""
    return _run("new", arguments, {"workload": arguments.name, "folder": arguments.folder})


def _doctor(arguments: argparse.Namespace) -> int:
    return _run("doctor", arguments, _settings(arguments, study_path(arguments.study) if arguments.study else None))


def _dashboard(arguments: argparse.Namespace) -> int:
    arguments.inventory = ""
    return _run("review", arguments, _settings(arguments) | {"dashboard_state": arguments.state})


def _apply(arguments: argparse.Namespace) -> int:
    return _roll(arguments, "apply.yml", *(["--check", "--diff"] if arguments.preview else []))


def _rollback(arguments: argparse.Namespace) -> int:
    return _roll(arguments, "rollback.yml")


def _roll(arguments: argparse.Namespace, name: str, *options: str) -> int:
    path = Path(arguments.output, arguments.workload, name)
    if not path.is_file():
        raise Refused(f"{path} does not exist: no role was learned for {arguments.workload}; see: autotune list")
    return _run(str(path), arguments, {}, *options)


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
    workload = arguments.workload or status.latest(_store(arguments))
    folder = Path(arguments.output, workload)
    result = read(folder)
    if arguments.json:
        print(json.dumps(result.model_dump(mode="json"), ensure_ascii=False))
    else:
        print(summary(result, folder, hosts_of(arguments.inventory)))
    return 0


def _has_store(arguments: argparse.Namespace) -> bool:
    return bool(arguments.store) or Path(arguments.output, "autotune.sqlite").exists()


def _store(arguments: argparse.Namespace) -> ReadOnlyStore:
    if not _has_store(arguments):
        raise Refused(f"there are no studies in {plain_line(arguments.output)}; start one: autotune run STUDY")
    return ReadOnlyStore(arguments.store or f"sqlite:///{Path(arguments.output, 'autotune.sqlite').absolute()}")


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


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-i", "--inventory", help="Ansible inventory; this machine without one")
    common.add_argument(
        "-e", "--extra-vars", action="append", default=[], metavar="NAME=VALUE", help="setting of the playbook"
    )
    common.add_argument("--output", default="learned", help="folder of the results (learned)")
    common.add_argument("--store", help="URL of the store (SQLite in the folder of the results)")
    common.add_argument(
        "--options", type=shlex.split, default=[], help="further options of ansible-playbook, in quotes"
    )
    return common


def _sentence_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="autotune", parents=[_common()])
    parser.add_argument("sentence", nargs="+")
    parser.add_argument("--yes", action="store_true", help="run it without asking")
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="autotune",
        description='Tunes kernel parameters for a workload. Also: autotune "SENTENCE", and autotune for a prompt.',
    )
    commands = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND")
    common = _common()

    def add(name: str, text: str, **options: Any) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common], **options)

    study = "a study file, its folder, or a workload of the library"
    run = add("run", "run a study: search, prove, write the role")
    run.add_argument("study", help=study)
    run.add_argument("--dry-run", action="store_true", help="change no parameter; measure the noise")
    run.add_argument("--resume", action="store_true", help="go on with the latest interrupted run")
    add("check", "find out whether a benchmark is fit for tuning").add_argument("study", help=study)
    compare = add("compare", "measure original values, expert settings and learned roles side by side")
    compare.add_argument("study", help=study)
    compare.add_argument("learned", nargs="*", help="workloads whose learned values take part")
    compare.add_argument("--rounds", type=int, default=10)
    new = add("new", "write a study and a benchmark to start from")
    new.add_argument("name")
    new.add_argument("--folder", help="where to write them (the name)")
    add("list", "list the library's workloads, and the studies")
    add("status", "show the latest study")
    stop = add("stop", "stop the running study after its running trials")
    stop.add_argument("--restore", action="store_true", help="end the running trials at once")
    for name in ("show", "explain"):
        show = add(name, "show the verdict of a study, and what each learned value rests on")
        show.add_argument("workload", nargs="?", help="the latest study's without one")
        show.add_argument("--json", action="store_true", help="print result.json")
    apply = add("apply", "apply a learned role: a canary, then batches")
    apply.add_argument("workload")
    apply.add_argument("--preview", action="store_true", help="show what would change")
    add("rollback", "restore the values that hosts had before a role was applied").add_argument("workload")
    add("doctor", "look for what would make a run fail").add_argument("study", nargs="?", help=study)
    dashboard = add("dashboard", "start the dashboard, or stop it")
    dashboard.add_argument("state", nargs="?", choices=["started", "stopped"], default="started")
    return parser
