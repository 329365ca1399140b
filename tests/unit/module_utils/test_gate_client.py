"""What a module says to an account that the gate is not for."""

from __future__ import annotations

import os
import pwd

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _gate_client
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

NAMELESS = 4_000_000_000


def test_an_account_without_a_name_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(NAMELESS)
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    refusing = ["sh", "-c", "echo 'sudo: a password is required' >&2; exit 1"]
    with pytest.raises(Failure, match=rf"^user id {NAMELESS} is not root .*\(sudo: a password is required\)"):
        _gate_client.request({}, refusing)
