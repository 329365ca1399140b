# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Parses a study file into plain data, bounded in size, count and depth before anything else reads it."""

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
from .errors import StudyError

# Enough for a generated study with 200 parameters.
_MAX_BYTES = 200_000
_MAX_VALUES = 10_000
_MAX_TEXT = 10_000
_MAX_DEPTH = 20
_MAX_BITS = 128  # the kernel's numbers have 64 at most

_TOO_MANY = f"more than {_MAX_VALUES} values; shorten the study"
_TOO_DEEP = f"nested more than {_MAX_DEPTH} levels deep"
_LINE_ENDS = "\0\r\n\x85\u2028\u2029#"
_TAB = "YAML does not allow a tab here; indent with spaces"


def parse(path: Path) -> dict[str, Any]:
    """The content of a study file: dictionaries, lists, text without control characters, numbers, null.

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
        raise StudyError(
            path, ["the file is empty" if data is None else "the top level must be a mapping of keys to values"]
        )
    if problems := list(_problems(data)):
        raise StudyError(path, problems)
    return data


def _text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StudyError(path, ["not a regular file; give the path of a YAML or JSON file"])
        if status.st_size > _MAX_BYTES:
            raise StudyError(path, [f"larger than {_MAX_BYTES} bytes; shorten the study"])
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(path, [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise StudyError(path, [f"not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    except ValueError:  # the path contains a NUL or a lone surrogate
        raise StudyError(path, ["cannot be read: invalid file name"]) from None


class _StudyLoader(yaml.SafeLoader):
    """Safe YAML without duplicate keys, aliases (which can expand exponentially), and octal or base-60 numbers."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0

    def scan_to_next_token(self) -> None:
        """Allow tabs between tokens, though not for indentation: the YAML standard does, PyYAML does not."""
        while True:
            super().scan_to_next_token()
            whites, following = self._whites()
            before = self.buffer[self.pointer - self.column : self.pointer].strip(" \t")
            if "\t" not in whites or not (before or self.flow_level or following in _LINE_ENDS):
                return
            self.forward(len(whites))
            if not (self.flow_level or before.strip("-?:")):
                self.allow_simple_key = False  # the indentation of a mapping after `-` and a tab is undefined

    def scan_plain_spaces(self, indent: int, start_mark: yaml.Mark) -> list[str] | None:
        """The same within and after an unquoted value."""
        whites, following = self._whites()
        if "\t" in whites:
            self.forward(len(whites))
            if following not in _LINE_ENDS:
                return [whites]
        spaces: list[str] | None = super().scan_plain_spaces(indent, start_mark)
        return spaces

    def _whites(self) -> tuple[str, str]:
        """The spaces and tabs at this point, and the character after them."""
        length = 0
        while self.peek(length) in (" ", "\t"):
            length += 1
        return self.prefix(length), self.peek(length)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._values += 1
        if self._values > _MAX_VALUES:
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=mark)
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed in a study", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError):  # PyYAML's constructors raise these on bad values
            kind = node.tag.rpartition(":")[2]
            problem = f"'{brief(node.value)}' cannot be read as {kind}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, dummy in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be a single word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key '{brief(key)}'", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_plain_int(self, node: yaml.ScalarNode) -> int:
        if re.fullmatch(r"[-+]?0\d[\d_]*|.*:.*", node.value):
            problem = (
                f"YAML reads '{brief(node.value)}' as an octal or base-60 number; write it in plain decimal digits"
            )
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        number: int = self.construct_yaml_int(node)
        return number


_StudyLoader.add_constructor("tag:yaml.org,2002:int", _StudyLoader.construct_plain_int)
# YAML 1.1 reads 1e-3 as text.
_StudyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_StudyLoader)  # noqa: S506 (a SafeLoader)


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """One line about a syntax error, with its place. Tabs are named, since they look like spaces."""
    mark = error.problem_mark
    if mark is None:
        return error.problem or "not valid YAML"
    problem = error.problem or "not valid YAML"
    line = text[: mark.index].rpartition("\n")[2] + text[mark.index :].partition("\n")[0]
    at_fault = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
    if at_fault and "\t" in line[: len(line) - len(line.lstrip(" \t-?"))]:
        return f"line {mark.line + 1}, column {line.index(chr(9)) + 1}: {_TAB}"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _number(digits: str) -> int:
    if len(digits) > _MAX_BITS:  # decimal digits, before the slow conversion; _value_error checks the bits
        raise ValueError(f"{brief(digits)} has more than {_MAX_BITS} bits")
    return int(digits)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key '{brief(key)}'")
        found[key] = value
    return found


def _problems(data: dict[str, Any]) -> Iterator[str]:
    """A line, with its place, for everything that no study may contain: too many values, or other than plain data."""
    left: list[tuple[str, int, Any]] = [("", 0, data)]
    seen = 0
    while left:
        place, depth, value = left.pop()
        seen += 1
        if seen > _MAX_VALUES:
            yield _TOO_MANY
            return
        if depth > _MAX_DEPTH:
            yield f"{place.split('.')[0].split('[')[0]}: {_TOO_DEEP}"
        elif isinstance(value, dict):
            keys = [(f"{place}.{brief(key)}" if place else brief(key), key) for key in value]  # shortened: not unique
            yield from (f"{name}: {error}" for name, key in keys if (error := _key_error(key)))
            left += [(name, depth + 1, value[key]) for name, key in reversed(keys)]
        elif isinstance(value, list):
            left += [(f"{place}[{at}]", depth + 1, value[at]) for at in reversed(range(len(value)))]
        elif error := _value_error(value):
            yield f"{place}: {error}"


def _key_error(key: Any) -> str | None:
    return _value_error(key) if isinstance(key, str) else "a key must be text; put it in quotes"


def _value_error(value: Any) -> str | None:
    match value:
        case str():
            if len(value) > _MAX_TEXT:
                return f"longer than {_MAX_TEXT} characters"
            bad = next((c for c in value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"), None)
            return bad and f"contains the control character {ascii(bad)[1:-1]}; remove it"
        case int() if value.bit_length() > _MAX_BITS:
            return f"has more than {_MAX_BITS} bits"
        case None | bool() | int() | float():
            return None
        case _:
            return f"must be text or a number, but YAML reads it as a {type(value).__name__}; put it in quotes"
