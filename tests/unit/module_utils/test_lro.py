from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _lro


@pytest.fixture(autouse=True)
def links(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"lo": 0, "ens192": 1 << 15, "eth1": 1 << 27}
    monkeypatch.setattr(_lro, "_flags", lambda interface: flags[interface])
    monkeypatch.setattr(_lro.socket, "if_nameindex", lambda: list(enumerate(flags)))


@pytest.mark.parametrize(
    "parameter", ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.ens192.forwarding"]
)
def test_forwarding_costs_an_interface_its_offload(parameter: str) -> None:
    reason = _lro.lost_by(parameter, "1")
    assert (
        reason == "the kernel disables LRO of ens192 permanently (if acceptable, first run: ethtool -K ens192 lro off)"
    )
    assert _lro.lost_by(parameter, "0") is None


@pytest.mark.parametrize(
    "parameter",
    ["net.ipv4.conf.eth1.forwarding", "net.ipv4.conf.default.forwarding", "net.ipv4.conf.ens192.tag", "vm.swappiness"],
)
def test_nothing_else_does(parameter: str) -> None:
    assert _lro.lost_by(parameter, "1") is None


def test_an_interface_that_has_gone_has_no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert _lro._flags("lo") & _lro._LRO == 0
    assert _lro._flags("gone0") == 0
