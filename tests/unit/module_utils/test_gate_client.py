"""What a module says to an account that the gate is not for."""

from __future__ import annotations

import os
import pwd

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _gate_client, _gate_rules
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

NAMELESS = 4_000_000_000


def test_an_account_without_a_name_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(NAMELESS)
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    refusing = ["sh", "-c", "echo 'sudo: a password is required' >&2; exit 1"]
    with pytest.raises(Failure, match=rf"^user id {NAMELESS} is not root .*\(sudo: a password is required\)"):
        _gate_client.request({}, refusing)


@pytest.mark.parametrize("answer", ['{"changed": true}', '{"changed": true, "protocol": 0}'])
def test_a_gate_of_another_release_is_not_misread(answer: str) -> None:
    with pytest.raises(Failure, match=r"is of another release of the collection: apply role autotune\.kernel\.access"):
        _gate_client.request({}, ["echo", answer])


def test_an_answer_of_this_release_is_given_on() -> None:
    answer = f'{{"changed": true, "protocol": {_gate_rules.PROTOCOL}}}'
    assert _gate_client.request({}, ["echo", answer]) == {"changed": True}
