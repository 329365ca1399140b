from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _dropin, _durable, _journal, _lease, _persist
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure

VALUES = {"vm.swappiness": "10", "vm.dirty_bytes": "8388608"}


@pytest.fixture
def dropin(kernel: Any) -> Path:
    path = Path(_dropin.DROPIN_DIRECTORY, "90-x.conf")
    path.parent.mkdir()
    return path


def test_keeps_and_rolls_back(kernel: Any, dropin: Path) -> None:
    found = kernel.values()
    _persist.keep(VALUES, persist="90-x")
    assert dropin.read_text().splitlines()[1:] == ["vm.dirty_bytes = 8388608", "vm.swappiness = 10"]
    assert stat.S_IMODE(dropin.stat().st_mode) == 0o644
    _persist.roll_back("90-x")
    assert kernel.values() == found
    assert not dropin.exists()
    assert not Path(_dropin.STATE_DIRECTORY).exists()
    assert _persist.roll_back("90-x").changes == {}


def test_the_former_file_comes_back_with_mode_and_owner(kernel: Any, dropin: Path) -> None:
    dropin.write_bytes(b"# mine\xff\nvm.swappiness = 60\n")
    dropin.chmod(0o640)
    os.chown(dropin, 12, 34) if os.geteuid() == 0 else None
    found = dropin.read_bytes(), dropin.stat().st_mode, dropin.stat().st_uid, dropin.stat().st_gid
    _persist.keep({"vm.swappiness": "10"}, persist="90-x")
    _persist.keep({"vm.swappiness": "20", "net.core.somaxconn": "5"}, persist="90-x")
    _persist.roll_back("90-x")
    assert (dropin.read_bytes(), dropin.stat().st_mode, dropin.stat().st_uid, dropin.stat().st_gid) == found
    assert kernel.get("vm.swappiness") == "60", "not the value of the first of the two"
    assert kernel.get("net.core.somaxconn") == "4096"


def test_a_second_identical_call_does_nothing(kernel: Any, dropin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _persist.keep(VALUES, persist="90-x")
    kernel.written.clear()
    monkeypatch.setattr(_durable, "write", None)
    report = _persist.keep(VALUES, persist="90-x")
    assert kernel.written == []
    assert {change.status for change in report.changes.values()} == {"unchanged"}
    assert report.file is not None
    assert report.file[1] == report.file[2]


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("failing", ["record", "kernel", "file"])
def test_a_failure_leaves_everything_as_it_was(
    failing: str, earlier: bool, kernel: Any, dropin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if earlier:
        _persist.keep({"vm.swappiness": "30"}, persist="90-x")
    found = kernel.values(), _dropin.take("90-x"), _dropin.read_record("90-x")
    write = _durable.write

    def fail(path: str, *rest: Any, **keywords: Any) -> None:
        if path.endswith(".json" if failing == "record" else ".conf"):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        write(path, *rest, **keywords)

    with monkeypatch.context() as patch:
        if failing != "kernel":
            patch.setattr(_durable, "write", fail)
        with pytest.raises(Failure, match="everything was put back"):
            _persist.keep({**VALUES, "vm.swappiness": "201" if failing == "kernel" else "10"}, persist="90-x")
    assert (kernel.values(), _dropin.take("90-x"), _dropin.read_record("90-x")) == found


def test_the_holder_confirms_his_lease(kernel: Any, dropin: Path) -> None:
    found = kernel.values()
    _lease.lend({**VALUES, "net.core.somaxconn": "5"}, "anna", 60)
    _persist.keep(VALUES, holder="anna", persist="90-x")
    assert _journal.read() is None
    assert kernel.get("vm.swappiness") == "10"
    assert kernel.get("net.core.somaxconn") == "4096", "lent and not confirmed"
    _persist.roll_back("90-x")
    assert kernel.values() == found, "the originals are those from before the lease"


@pytest.mark.parametrize("holder", [None, "bert"])
def test_nobody_else_sets_values_during_a_lease(holder: str | None, kernel: Any, dropin: Path) -> None:
    _persist.keep({"net.core.somaxconn": "5"}, persist="90-x")
    _lease.lend(VALUES, "anna", 60)
    for attempt in (
        lambda: _persist.keep(VALUES, holder=holder),
        lambda: _persist.roll_back("90-x", holder=holder),
    ):
        with pytest.raises(Failure, match="anna holds this host"):
            attempt()
    assert kernel.get("net.core.somaxconn") == "5"


def test_a_lease_that_ran_out_is_settled_first(kernel: Any, expire: Callable[[], None]) -> None:
    _lease.lend(VALUES, "anna", 60)
    expire()
    assert _persist.keep({"vm.swappiness": "5"}).changes["vm.swappiness"].before == "60"
    assert kernel.get("vm.dirty_ratio") == "20"


def test_values_that_somebody_else_set_are_told_when_rolling_back(kernel: Any, dropin: Path) -> None:
    _persist.keep(VALUES, persist="90-x")
    kernel.put("vm.swappiness", "77")
    assert "somebody else had set vm.swappiness to '77'" in " ".join(_persist.roll_back("90-x").warnings)


def test_a_roll_back_that_fails_keeps_its_record(kernel: Any, dropin: Path) -> None:
    _persist.keep(VALUES, persist="90-x")

    def refuse(parameter: str, text: str) -> None:
        if parameter == "vm.swappiness":
            raise OSError(errno.EIO, "no")

    kernel.refuse = refuse
    with pytest.raises(Failure, match="NEEDS ATTENTION"):
        _persist.roll_back("90-x")
    assert not dropin.exists()
    kernel.refuse = lambda parameter, text: None
    _persist.roll_back("90-x")
    assert kernel.get("vm.swappiness") == "60"
    assert _dropin.read_record("90-x") is None


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "x.conf", "a b", "x\n"])
def test_refuses_bad_names(name: str, kernel: Any) -> None:
    with pytest.raises(Failure, match="cannot name a drop-in"):
        _persist.keep(VALUES, persist=name)
    assert kernel.written == []


def test_leaves_links_alone(kernel: Any, dropin: Path) -> None:
    dropin.symlink_to("../sysctl.conf")
    with pytest.raises(Failure, match="is a link"):
        _persist.keep(VALUES, persist="90-x")


def test_a_damaged_record_is_told(kernel: Any, dropin: Path) -> None:
    _persist.keep(VALUES, persist="90-x")
    Path(_dropin.record_path_of("90-x")).write_text("{")
    with pytest.raises(Failure, match="cannot be read"):
        _persist.roll_back("90-x")
    assert kernel.get("vm.swappiness") == "10"


def test_check_mode_writes_nothing(kernel: Any, dropin: Path) -> None:
    report = _persist.keep(VALUES, persist="90-x", check=True)
    assert report.file is not None
    assert "vm.swappiness = 10" in report.file[2]
    assert not dropin.exists()
    _persist.keep(VALUES, persist="90-x")
    kernel.written.clear()
    assert _persist.roll_back("90-x", check=True).changes["vm.swappiness"].after == "60"
    assert kernel.written == []
    assert dropin.exists()


def test_warns_of_files_that_are_read_later_at_boot(kernel: Any, dropin: Path) -> None:
    library = kernel.base / "lib/sysctl.d"
    library.mkdir(parents=True)
    for path, text in (
        (dropin.parent / "10-a.conf", "vm.swappiness = 1"),
        (library / "95-b.conf", "# vm.dirty_bytes = 1\n-vm/swappiness=1\nnonsense\nnet.*.x = 1"),
        (library / "99-c.conf", "vm.dirty_bytes = 1"),
        (dropin.parent / "99-c.conf", "# hides the one in lib"),
    ):
        path.write_text(text + "\n")
    warnings = _persist.keep(VALUES, persist="90-x").warnings
    assert warnings == [
        f"at boot {library}/95-b.conf, which is read after {dropin}, sets vm.swappiness too and prevails"
    ]


def test_what_is_no_sysctl_is_set_and_rolled_back_but_not_kept(
    kernel: Any, dropin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thp = "transparent_hugepage.enabled"
    kernel.put(thp, "madvise")
    monkeypatch.setattr(_persist._procfs, "SYSFS", str(tmp_path))
    path = Path(_persist._procfs.path_of(thp))
    path.parent.mkdir(parents=True)
    path.write_text("always [madvise] never\n")
    report = _persist.keep({**VALUES, thp: "never"}, persist="90-x")
    assert "transparent_hugepage" not in dropin.read_text()
    assert [thp in warning and "not kept over a reboot" in warning for warning in report.warnings] == [True]
    assert kernel.get(thp) == "never"
    _persist.roll_back("90-x")
    assert kernel.get(thp) == "madvise"


def test_a_drop_in_that_took_its_place_before_the_disk_failed_is_taken_away(
    kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, write = kernel.values(), _dropin.write

    def fail_late(name: str, text: str) -> None:
        write(name, text)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_dropin, "write", fail_late)
    with pytest.raises(Failure, match="everything was put back"):
        _persist.keep({"vm.swappiness": "10"}, persist="90-x")
    assert kernel.values() == found
    assert _dropin.take("90-x") is None
    assert _dropin.read_record("90-x") is None


@pytest.mark.parametrize("check", [True, False])
def test_what_no_roll_back_undoes_is_told(check: bool, kernel: Any) -> None:
    parameter = "net.ipv6.conf.eth0.disable_ipv6"
    kernel.put(parameter, "0")
    report = _persist.keep({parameter: "1"}, allow_unsafe=[parameter], check=check)
    assert f"{parameter}: no roll-back undoes this, since the kernel removes IPv6" in " ".join(report.warnings)
    if not check:
        assert _persist.keep({parameter: "1"}, allow_unsafe=[parameter]).warnings == [], "it has that value already"
