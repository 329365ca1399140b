# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From a study file to plain data: bounded in size, count and depth before anybody looks at what it says."""

from __future__ import annotations

import json
import re
import stat
import unicodedata
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from .._plain import brief
from .mistakes import StudyError

# A study is a page or two; these leave room for one that a program wrote, with 200 parameters.
_LARGEST = 200_000  # bytes
_MOST_VALUES = 10_000
_LONGEST_TEXT = 10_000
_DEEPEST = 20
_BITS = 128  # no number of the kernel's has more than 64

_TOO_MANY = f"has more than {_MOST_VALUES} values; a study is a page of text"
_TOO_DEEP = "is nested too deeply"
_ENDS = "\0\r\n\x85\u2028\u2029#"  # of a line, or of what counts in it
_TAB = "a tab where YAML takes only spaces; indent with spaces"


def parse(path: Path) -> dict[str, Any]:
    """The keys and values of a study file: dictionaries, lists, text without control characters, numbers, null.

    Raises StudyError.
    """
    text = _text(path)
    try:
        data = (
            json.loads(text, object_pairs_hook=_no_duplicates, parse_int=_number)
            if path.suffix == ".json"
            else _yaml(text)
        )
    except json.JSONDecodeError as error:
        raise StudyError(path, [f"line {error.lineno}, column {error.colno}: {error.msg}"]) from None
    except yaml.MarkedYAMLError as error:
        raise StudyError(path, [_explained(error, text)]) from None
    except RecursionError:
        raise StudyError(path, [_TOO_DEEP]) from None
    except (ValueError, yaml.YAMLError) as error:
        raise StudyError(path, [str(error).partition("\n")[0]]) from None
    if not isinstance(data, dict):
        raise StudyError(path, ["is empty" if data is None else "must be a mapping of keys to values at its top"])
    if problems := list(_problems(data)):
        raise StudyError(path, problems)
    return data


def _text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StudyError(path, ["is not a file; give the path of a YAML or JSON study"])
        if status.st_size > _LARGEST:
            raise StudyError(path, [f"is larger than {_LARGEST} bytes; a study is a page of text"])
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(path, [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise StudyError(path, [f"is not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    except ValueError:  # of the path: a NUL or a lone surrogate
        raise StudyError(path, ["cannot be read: no file has such a name"]) from None


class _StudyLoader(yaml.SafeLoader):
    """YAML as people mean it: no key twice, no aliases (they can explode), no octal or base 60 numbers by accident."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0

    def scan_to_next_token(self) -> None:
        """As YAML's standard has it, and PyYAML has not: tabs may stand between tokens, only not in an indentation."""
        while True:
            super().scan_to_next_token()
            whites, following = self._whites()
            before = self.buffer[self.pointer - self.column : self.pointer].strip(" \t")
            if "\t" not in whites or not (before or self.flow_level or following in _ENDS):
                return
            self.forward(len(whites))
            if not (self.flow_level or before.strip("-?:")):
                self.allow_simple_key = False  # a mapping that begins behind `-` and a tab has no clear indentation

    def scan_plain_spaces(self, indent: int, start_mark: yaml.Mark) -> list[str] | None:
        """The same inside and behind a value without quotes."""
        whites, following = self._whites()
        if "\t" in whites:
            self.forward(len(whites))
            if following not in _ENDS:
                return [whites]
        spaces: list[str] | None = super().scan_plain_spaces(indent, start_mark)
        return spaces

    def _whites(self) -> tuple[str, str]:
        """The blanks and tabs from here on, and the character that follows them."""
        length = 0
        while self.peek(length) in (" ", "\t"):
            length += 1
        return self.prefix(length), self.peek(length)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._values += 1
        if self._values > _MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=mark)
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not read in a study", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError):  # what PyYAML's own constructors let through
            kind = node.tag.rpartition(":")[2]
            problem = f"'{brief(node.value)}' cannot be read as {kind}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, dummy in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"'{brief(key)}' is there twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_plain_int(self, node: yaml.ScalarNode) -> int:
        if re.fullmatch(r"[-+]?0\d[\d_]*|.*:.*", node.value):
            problem = (
                f"'{brief(node.value)}' is another number in YAML than it looks like; write it as plain decimal digits"
            )
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        number: int = self.construct_yaml_int(node)
        return number


_StudyLoader.add_constructor("tag:yaml.org,2002:int", _StudyLoader.construct_plain_int)
# YAML 1.1 takes 1e-3 for text; nobody else does.
_StudyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_StudyLoader)  # noqa: S506 (a SafeLoader)


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """One line on what PyYAML did not take, with its place; a tab is named, for nobody sees one."""
    mark = error.problem_mark
    if mark is None:
        return error.problem or "is not YAML"
    problem = error.problem or "is not YAML"
    line = text[: mark.index].rpartition("\n")[2] + text[mark.index :].partition("\n")[0]
    at_fault = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
    if at_fault and "\t" in line[: len(line) - len(line.lstrip(" \t-?"))]:
        return f"line {mark.line + 1}, column {line.index(chr(9)) + 1}: {_TAB}"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _number(digits: str) -> int:
    if len(digits) > _BITS:  # of decimal digits: _fault sees to those that are left
        raise ValueError(f"{brief(digits)} is a number of more than {_BITS} bits")
    return int(digits)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"'{brief(key)}' is there twice")
        found[key] = value
    return found


def _problems(data: dict[str, Any]) -> Iterator[str]:
    """What no study may have anywhere in it, a line each with its place: too much of it, or what is no plain data."""
    left: list[tuple[str, int, Any]] = [("", 0, data)]
    seen = 0
    while left:
        place, depth, value = left.pop()
        seen += 1
        if seen > _MOST_VALUES:
            yield _TOO_MANY
            return
        if depth > _DEEPEST:
            yield f"{place.split('.')[0].split('[')[0]}: {_TOO_DEEP}"
        elif isinstance(value, dict):
            keys = {f"{place}.{brief(key)}" if place else brief(key): key for key in value}
            yield from (f"{name}: {said}" for name, key in keys.items() if (said := _fault_of_key(key)))
            left += [(name, depth + 1, value[key]) for name, key in reversed(keys.items())]
        elif isinstance(value, list):
            left += [(f"{place}[{at}]", depth + 1, value[at]) for at in reversed(range(len(value)))]
        elif said := _fault(value):
            yield f"{place}: {said}"


def _fault_of_key(key: Any) -> str | None:
    return _fault(key) if isinstance(key, str) else "a key should be text; put it in quotes"


def _fault(value: Any) -> str | None:
    match value:
        case str():
            if len(value) > _LONGEST_TEXT:
                return f"is longer than {_LONGEST_TEXT} characters"
            odd = next((c for c in value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"), None)
            return odd and f"has the character {ascii(odd)[1:-1]}, which is no text"
        case int() if value.bit_length() > _BITS:
            return f"is a number of more than {_BITS} bits"
        case None | bool() | int() | float():
            return None
        case _:
            return f"should be text or a number, not what YAML calls {type(value).__name__}; put it in quotes"
