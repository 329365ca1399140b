# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The commands of a study, which run without a shell: checks them, and finds the files to copy to the hosts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from .._plain import brief, few

_SCRIPTS = (".py", ".sh", ".pl", ".rb", ".js", ".lua", ".R")
_SHELL = r"(ba|da|z|k|a|fi)?sh"
# Interpreters: their options that take a value, and their options that take the program itself.
_INTERPRETERS = (
    (re.compile(rf"{_SHELL}$"), "oO", "c"),
    (re.compile(r"(python|pypy)[\d.]*$"), "WX", "cm"),
    (re.compile(r"perl[\d.]*$"), "I", "eE"),
    (re.compile(r"ruby[\d.]*$"), "IrC", "e"),
    (re.compile(r"node(js)?$"), "r", "ep"),
    (re.compile(r"(lua|luajit)[\d.]*$"), "l", "e"),
    (re.compile(r"Rscript$"), "", "e"),
)
# Programs that run another one: their options that take a value, and the number of operands before its name.
_WRAPPERS = {
    "nice": ("n", 0),
    "ionice": ("cn", 0),
    "chrt": ("TPD", 1),
    "taskset": ("", 1),
    "timeout": ("ks", 1),
    "stdbuf": ("ioe", 0),
    "env": ("uC", 0),
    "nohup": ("", 0),
    "setsid": ("", 0),
    "time": ("fo", 0),
    "numactl": ("iNmpCl", 0),
    "sudo": ("ugCDhpRrTtU", 0),
}
# Quoted text is not syntax, except for variables in double quotes, which look as if they were expanded.
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\$`])*\"""")
# For `sh -c`, whatever is quoted is read by a shell.
_QUOTED_FOR_A_SHELL = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_OPERATOR = re.compile(r"[|;<>`\n]|&&|&(?=\s|$)|\$[({A-Za-z_]|(?<!\S)#")
_BUILTINS = ("cd", "export", "source", ".", "eval", "exec", "set", "ulimit", "umask", "alias", "if", "for", "while")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


_NOT_FOUND = "is neither next to the study file nor in the current folder"


def check_command(command: str, find: Callable[[str], object], place: str = "") -> None:
    """Raises ValueError, with the text `place` first, if the command cannot run. find: looks a file up."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"{place}cannot be split into words: {error}") from error
    if not words:
        raise ValueError(f"{place}is empty; write the command to run")
    if syntax := shell_syntax(command):
        remedy = "set variables in `environment`" if syntax.endswith("=") else "put it into a script"
        raise ValueError(
            f"{place}contains `{brief(syntax)}`, but commands run without a shell: {remedy}, or quote what is literal"
        )
    script = script_of(words)
    if script and not _stays_inside(script):
        raise ValueError(f"{place}{brief(script)} is outside the study's folder; put the script next to the study file")
    if script and not find(script):
        raise ValueError(f"{place}{brief(script)} {_NOT_FOUND}")


def check_files(names: Sequence[str], find: Callable[[str], object]) -> None:
    """Raises ValueError if one of the files to copy cannot be copied. find: looks a file up."""
    problems = [f"{brief(name)} must be a relative path without .." for name in names if not _stays_inside(name)]
    problems += [f"{brief(name)} {_NOT_FOUND}" for name in names if _stays_inside(name) and not find(name)]
    if problems:
        raise ValueError(few(problems, "; "))


def _stays_inside(name: str) -> bool:
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def shell_syntax(command: str) -> str | None:
    """The first shell syntax in a command, None if there is none."""
    quoted = _QUOTED_FOR_A_SHELL if _runs_a_shell(shlex.split(command)) else _QUOTED
    if found := _OPERATOR.search(quoted.sub("_", command.strip())):
        return found[0]
    first = command.split(maxsplit=1)[0] if command.strip() else ""
    assigned = _ASSIGNMENT.match(first)
    return first if first in _BUILTINS else assigned[0] if assigned else None


def _runs_a_shell(words: list[str]) -> bool:
    """Whether the command is of the form `sh -c TEXT`."""
    program, *others = _without_wrappers(words) or [""]
    is_shell, takes_value, takes_text = _INTERPRETERS[0]
    return bool(is_shell.match(_program(program))) and not _after_options(others, takes_value, takes_text)


def script_of(words: list[str]) -> str | None:
    """The script that a command runs by a relative path, which has to be copied to the host."""
    words = _without_wrappers(words)
    if not words:
        return None
    for pattern, takes_value, takes_program in _INTERPRETERS:
        if pattern.match(_program(words[0])):
            words = _after_options(words[1:], takes_value, takes_program)
            break
    return words[0] if words and _looks_like_a_script(words[0]) else None


def files_named(words: list[str], find: Callable[[str], object]) -> list[str]:
    """The files to copy to the hosts for a command: its script, and every other word that looks like one and exists."""
    script = script_of(words)
    others = [word for word in words if _looks_like_a_script(word) and ".." not in word.split("/") and find(word)]
    return [*([script] if script else []), *others]


def _looks_like_a_script(word: str) -> bool:
    return not word.startswith(("-", "/")) and ("/" in word or word.endswith(_SCRIPTS))


def _program(word: str) -> str:
    return word.rpartition("/")[2]


def _without_wrappers(words: list[str]) -> list[str]:
    while words and _program(words[0]) in _WRAPPERS:
        takes_value, operands = _WRAPPERS[_program(words[0])]
        words = _after_options(words[1:], takes_value)[operands:]
        while words and _ASSIGNMENT.match(words[0]):
            words = words[1:]
    return words


def _after_options(words: list[str], takes_value: str, takes_program: str = "") -> list[str]:
    """The words after a program's options; none if one of the options contains the program to run."""
    while words and words[0].startswith("-") and words[0] != "-":
        option, *words = words
        if option == "--":
            return words
        if option.startswith("--"):
            continue
        for at, letter in enumerate(option[1:], 2):
            if letter in takes_program:
                return []
            if letter in takes_value:
                words = words if option[at:] else words[1:]
                break
    return words
