# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A worker's last word to the trainer: what its host has, however it came to leave it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.autotune.kernel.plugins.plugin_utils._wire import Disconnected, Line
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.action import _leave
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.part import PartFailed

BACK = "its own values are back, verified"
WRONG = "h1: NEEDS ATTENTION: vm.swappiness could not be put back"
LATER = "if no connection comes back, the host takes its own values back within 90 s"


def raising(error: Exception) -> Callable[[], str]:
    def leave() -> str:
        raise error

    return leave


@pytest.mark.parametrize(
    ("leave", "ending", "restored"),
    [
        (lambda: BACK, BACK, True),
        (raising(PartFailed(WRONG)), WRONG, False),
        (raising(AnsibleConnectionFailure("no route")), LATER, False),
        (raising(KeyError("verdict")), "it is not known what the host has now", False),
    ],
    ids=["back", "not back", "out of reach", "a mistake of ours"],
)
def test_the_trainer_hears_what_the_host_has(leave: Callable[[], str], ending: str, restored: bool) -> None:
    ours, theirs = socket.socketpair()
    trainer, line = Line(ours), Line(theirs)
    part: Any = SimpleNamespace(leave=leave, show=lambda text: None, host="h1", lease=90)
    with suppress(PartFailed, KeyError):  # which Ansible gets to hear
        assert _leave(part, line, False) == (ending, restored)
    assert trainer.receive() == {"kind": "left", "ending": ending, "restored": restored}
    with pytest.raises(Disconnected):
        trainer.receive()
    trainer.close()
