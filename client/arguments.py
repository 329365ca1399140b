# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The arguments of the command `autotune`."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from .playbooks import version


class Parser(argparse.ArgumentParser):
    """Reports a mistake on one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help, and put a sentence in quotation marks\n")


def _common() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("-i", "--inventory", type=_named, help="Ansible inventory; this machine without one")
    common.add_argument(
        "-e", "--extra-vars", action="append", default=[], metavar="NAME=VALUE", help="setting of the playbook"
    )
    common.add_argument("--output", default="learned", help="folder of the results (learned)")
    common.add_argument("--store", help="URL of the store, or path of a SQLite file (in the folder of the results)")
    common.add_argument("--options", type=_words, default=[], help="further options of ansible-playbook, in quotes")
    return common


def _named(path: str) -> str:
    if not path:
        raise argparse.ArgumentTypeError("it is empty; leave the option out for this machine")
    return path


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def sentence_parser() -> argparse.ArgumentParser:
    """Of a sentence, with its options."""
    parser = Parser(prog="autotune", parents=[_common()])
    parser.add_argument("sentence", nargs="+")
    parser.add_argument("--yes", action="store_true", help="run it without asking")
    return parser


def subcommand_parser() -> argparse.ArgumentParser:
    """Of the subcommands."""
    parser = Parser(
        prog="autotune",
        description='Tunes kernel parameters for a workload. Also: autotune "SENTENCE", and autotune for a prompt.',
    )
    parser.add_argument("--version", action="version", version=f"autotune {version()}")
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
    for name, text in (
        ("apply", "apply a learned role: a canary, then batches"),
        ("rollback", "restore the values that hosts had before a role was applied"),
    ):
        roll = add(name, text)
        roll.add_argument("workload")
        roll.add_argument("--preview", action="store_true", help="show what would change")
    add("doctor", "look for what would make a run fail").add_argument("study", nargs="?", help=study)
    dashboard = add("dashboard", "start the dashboard, or stop it")
    commands.add_parser("mcp", help="serve an agent over stdin and stdout; options: autotune mcp --help")
    dashboard.add_argument("state", nargs="?", choices=["started", "stopped"], default="started")
    return parser
