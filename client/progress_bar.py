# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The output of a run as a progress bar, on a terminal and in a notebook; in a log, line by line."""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import Any, Self

from tqdm.auto import tqdm

_TRIAL = re.compile(r"\[autotune\] (?P<number>\d+)/(?P<of>\d+) (?P<text>.*)")
# What Ansible says of its tasks; what matters of it is raised or returned.
_OWN = "[autotune] "


class ProgressBar:
    """Takes the lines of a run: the trials advance the bar, the run's other messages stand above it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._is_log = "ipykernel" not in sys.modules and not sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, line: str) -> None:
        """Show a line of ansible-playbook's output."""
        trial = _TRIAL.fullmatch(line)
        if trial and not self._is_log:
            self._advance(int(trial["number"]), int(trial["of"]), trial["text"])
        elif line.startswith(_OWN):
            tqdm.write(line, file=sys.stderr)

    def _advance(self, number: int, total: int, text: str) -> None:
        if self._bar is None:
            self._bar = tqdm(bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}", file=sys.stderr)
        self._bar.total, self._bar.n = total, number
        self._bar.set_postfix_str(text)
