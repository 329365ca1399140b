"""A small study that is right, to be bent by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import StudyError, StudyFile, read_study

HEAD = """\
workload_name: small
reward_metric: throughput
benchmark_command: python3 bench.py
"""
SPACE = """\
action_space:
  - {param: vm.swappiness, min: 0, max: 100}
"""

Read = Callable[[str], StudyFile]
Mistakes = Callable[[str], list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bench.py").write_text("print('throughput: 1')\n")
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Read:
    """Read the text of a study."""

    def from_text(text: str) -> StudyFile:
        path = folder / ("study.json" if text.startswith("{") else "study.yml")
        path.write_bytes(text.encode())
        return read_study(path, folder)

    return from_text


@pytest.fixture
def mistakes(read: Read) -> Mistakes:
    """The mistakes in the text of a study, a line each."""

    def in_text(text: str) -> list[str]:
        with pytest.raises(StudyError) as caught:
            read(text)
        return caught.value.errors

    return in_text


@pytest.fixture
def study_with(read: Read) -> Read:
    """A right study with further lines at its end."""
    return lambda more: read(f"{HEAD}{SPACE}{more}\n")


@pytest.fixture
def mistakes_with(mistakes: Mistakes) -> Mistakes:
    """The mistakes in further lines at the end of a right study."""
    return lambda more: mistakes(f"{HEAD}{SPACE}{more}\n")


@pytest.fixture
def mistakes_of_parameter(mistakes: Mistakes) -> Mistakes:
    """The mistakes in a study with one parameter, given as the inside of a YAML flow mapping."""
    return lambda inside: mistakes(f"{HEAD}action_space:\n  - {{{inside}}}\n")
