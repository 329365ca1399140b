# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Another process that chooses the candidates in place of the learner, as one with the Gymnasium environment does.

It asks for one candidate at a time, and gets its trials: one on each host. When it ends or closes the connection, the
study stops, and all hosts get their original values back.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._fleet.fleet import Fleet
from .._learner.protocols import Region
from .._study.study import Study
from .._trial.trial import Phase, State, Trial, to_json
from .._wire import Disconnected, Message, connect

_LOG = logging.getLogger(__name__)
PROPOSED_BY = "the agent"
_GONE = "the agent that chooses the candidates has ended"


class Agent:
    """The connection to an agent that listens in a private folder. Raises OSError if there is none."""

    def __init__(self, folder: Path) -> None:
        self._line = connect(folder)
        self._line.peer = "the agent"
        self._asked: deque[Message] = deque()

    def attend(self, fleet: Fleet) -> None:
        """Receive its messages in a thread, and restore all hosts once it has gone."""

        def receive() -> None:
            try:
                for message in self._line:
                    self._asked.append(message)
                    fleet.look_again()
            finally:
                self._line.close()
                fleet.restore(_GONE)

        threading.Thread(target=receive, daemon=True).start()

    def train(self, study: Study, fleet: Fleet, region: Region, baselines: Sequence[Trial]) -> int:
        """Run the trials that it asks for until it lets the study go on; returns how many of the budget are left.

        baselines: of the hosts' original values, from which its observations start. Raises Ended.
        """
        left = study.training_config.total_timesteps
        content = study.model_dump(mode="json", exclude_none=True)
        self._send("begin", study=content, baselines=[*map(to_json, baselines)], left=left)
        while (message := self._next(fleet))["kind"] == "point" and left:
            candidate = region.project(study.space.decode(np.array(message["point"], dtype=np.float64)))
            _LOG.debug("the agent asks for %s", candidate)
            pending = Trial.pending(Phase.TRAIN, candidate, proposed_by=PROPOSED_BY)
            trials = _on_each_host(pending, fleet, left)
            for trial in trials:
                region.update(trial)
            left -= len(trials)
            self._send("trials", trials=[*map(to_json, trials)], left=left)
        return left

    def end(self, result: dict[str, Any]) -> None:
        """Tell it the study's result."""
        self._send("end", result=result)

    def _next(self, fleet: Fleet) -> Message:
        fleet.wait_until(lambda: self._asked)
        return self._asked.popleft()

    def _send(self, kind: str, **content: Any) -> None:
        with suppress(Disconnected):  # the thread that receives has noticed it, too
            self._line.send(kind, **content)


def _on_each_host(pending: Trial, fleet: Fleet, most: int) -> list[Trial]:
    """The trial, ended, once on each host that is ready, `most` at most; on fewer if hosts leave. Raises Ended."""
    while True:
        hosts = sorted(fleet.wait_for_hosts())[:most]
        ended = fleet.measure([replace(pending, host=name) for name in hosts])
        if found := [trial for trial in ended if trial.state != State.LOST]:
            return found
