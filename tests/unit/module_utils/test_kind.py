"""A new kind of setting takes one file and its entry in the registry: everything else follows from these."""

from __future__ import annotations

import importlib.util
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _change,
    _facts,
    _kernel,
    _lease,
    _machine,
    _persist,
    _watchdog_unit,
)

# Not files: a setting of a network card, which the kernel offers by netlink.
RING = """
import errno
from ansible_collections.autotune.kernel.plugins.module_utils._kind import Kind

CARD = {"rx": 256}

class Rings(Kind):
    prefix, components = "ring", 3
    how_to_write = "write ring.<interface>.<rx or tx>"
    unit_properties = ("RestrictAddressFamilies=AF_NETLINK",)

    def read(self, parts):
        return str(CARD[parts[2]])

    def write(self, parts, text):
        if int(text) > 4096:
            raise OSError(errno.EINVAL, "Invalid argument")
        CARD[parts[2]] = int(text)

    def exists(self, parts):
        return parts[1] == "eth0" and parts[2] in CARD

    def names(self):
        yield from (f"ring/eth0/{name}" for name in CARD)

    def command(self, parts, text):
        return f"ethtool -G {parts[1]} {parts[2]} {text}"

    def why_missing(self, parts):
        return f"{parts[1]} has no such ring"
"""
PARAMETER = "ring.eth0.rx"


@pytest.fixture(autouse=True)
def card(kernel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    monkeypatch.setattr(_kernel, "read", kernel.read_real)
    monkeypatch.setattr(_kernel, "write", kernel.write_real)
    name = f"{_kernel.__package__}._kind_ring"
    (tmp_path / "_kind_ring.py").write_text(RING)
    spec = importlib.util.spec_from_file_location(name, tmp_path / "_kind_ring.py")
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(_kernel.KINDS, "ring", module.Rings())
    found: dict[str, int] = module.CARD
    return found


def test_it_is_leased_and_restored(card: dict[str, int]) -> None:
    report = _lease.acquire({PARAMETER: "1024"}, "anna", 60)
    assert (card["rx"], report.originals) == (1024, {PARAMETER: "256"})
    _lease.release("anna")
    assert card["rx"] == 256


def test_a_refused_value_is_explained(card: dict[str, int]) -> None:
    with pytest.raises(_change.Failure, match=r"ring.eth0.rx: the kernel refused '9999' \(Invalid argument\)"):
        _lease.acquire({PARAMETER: "9999"}, "anna", 60)
    assert card["rx"] == 256


@pytest.mark.parametrize(
    ("parameter", "hint"), [("ring.eth0", "write ring.<interface>"), ("ring.eth1.rx", "eth1 has no such ring")]
)
def test_mistakes_are_explained(parameter: str, hint: str) -> None:
    with pytest.raises((_change.Failure, ValueError), match=hint):
        _lease.acquire({parameter: "1"}, "anna", 60)


def test_it_is_listed_and_has_a_command() -> None:
    assert PARAMETER in _facts.survey()[0]
    assert _facts.parameter_facts(PARAMETER, _machine.read(), {})["value"] == "256"
    assert _kernel.path_of(PARAMETER) is None
    assert _kernel.command_to_set(PARAMETER, "512") == "ethtool -G eth0 rx 512"


@pytest.mark.parametrize(
    ("persistable", "reason"), [(False, "sysctl.d sets sysctls only"), (True, "characters with a special meaning")]
)
def test_why_it_is_not_kept_follows_from_what_the_kind_says(
    monkeypatch: pytest.MonkeyPatch, persistable: bool, reason: str
) -> None:
    monkeypatch.setattr(_kernel.KINDS["ring"], "persistable", persistable)
    assert reason in _persist._not_persisted("ring.eth=0.rx")


def test_the_watchdog_gets_its_file_and_may_do_what_it_needs() -> None:
    with zipfile.ZipFile(io.BytesIO(_watchdog_unit.program())) as archive:
        assert any(name.endswith("/_kind_ring.py") for name in archive.namelist())
    assert "--property=RestrictAddressFamilies=AF_NETLINK" in _watchdog_unit.command("/run/autotune/watchdog.pyz")
