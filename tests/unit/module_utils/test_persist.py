from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _dropin,
    _durable,
    _journal,
    _kernel,
    _kind,
    _lease,
    _persist,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

VALUES = {"vm.swappiness": "10", "vm.dirty_bytes": "8388608"}


@pytest.fixture
def dropin(kernel: Any) -> Path:
    path = Path(_dropin.DROPIN_DIRECTORY, "90-x.conf")
    path.parent.mkdir()
    return path


def test_keeps_and_rolls_back(kernel: Any, dropin: Path) -> None:
    found = kernel.values()
    _persist.apply(VALUES, persist="90-x")
    assert dropin.read_text().splitlines()[3:] == ["vm.dirty_bytes = 8388608", "vm.swappiness = 10"]
    assert stat.S_IMODE(dropin.stat().st_mode) == 0o644
    _persist.roll_back("90-x")
    assert kernel.values() == found
    assert not dropin.exists()
    assert not Path(_dropin.STATE_DIRECTORY).exists()
    assert _persist.roll_back("90-x").changes == {}


def test_a_drop_in_of_an_earlier_installation_comes_back_with_mode_and_owner(kernel: Any, dropin: Path) -> None:
    dropin.write_text(_dropin.text_for("90-x", {"vm.swappiness": "60"}))
    dropin.chmod(0o640)
    os.chown(dropin, 12, 34) if os.geteuid() == 0 else None
    found = dropin.read_bytes(), dropin.stat().st_mode, dropin.stat().st_uid, dropin.stat().st_gid
    _persist.apply({"vm.swappiness": "10"}, persist="90-x")
    _persist.apply({"vm.swappiness": "20", "net.core.somaxconn": "5"}, persist="90-x")
    _persist.roll_back("90-x")
    assert (dropin.read_bytes(), dropin.stat().st_mode, dropin.stat().st_uid, dropin.stat().st_gid) == found
    assert kernel.get("vm.swappiness") == "60", "not the value of the first of the two"
    assert kernel.get("net.core.somaxconn") == "4096"
    assert os.listdir(dropin.parent) == ["90-x.conf"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("folder", ["lib/sysctl.d", "sysctl.d"])
def test_a_file_of_somebody_elses_is_neither_replaced_nor_hidden(
    folder: str, check: bool, kernel: Any, dropin: Path
) -> None:
    theirs = kernel.base / folder / "90-x.conf"
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_bytes(b"# \xff\nkernel.pid_max = 77\n")
    with pytest.raises(Failure, match=rf"persist: .*{theirs}.* would be lost.*: choose another name"):
        _persist.apply(VALUES, persist="90-x", check=check)
    assert theirs.read_bytes() == b"# \xff\nkernel.pid_max = 77\n"
    assert kernel.written == []
    assert _persist.roll_back("90-x").changes == {}


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "a line more": lambda content: content + b"kernel.pid_max = 77\n",
    "a comment above": lambda content: b"# \xff\n" + content,
    "another value": lambda content: content.replace(b"= 10", b"= 11"),
    "a file of their own": lambda content: b"kernel.pid_max = 77\n",
}


@pytest.mark.parametrize("then", ["apply", "apply the same", "roll back"])
@pytest.mark.parametrize("edit", EDITS)
def test_what_others_wrote_into_our_drop_in_is_kept_beside_it_and_told(
    edit: str, then: str, kernel: Any, dropin: Path
) -> None:
    def step(check: bool) -> Any:
        if then == "roll back":
            return _persist.roll_back("90-x", check=check)
        return _persist.apply(
            VALUES if then == "apply the same" else {"vm.swappiness": "20"}, persist="90-x", check=check
        )

    _persist.apply(VALUES, persist="90-x")
    edited = EDITS[edit](dropin.read_bytes())
    dropin.write_bytes(edited)
    dropin.chmod(0o600)
    foreseen = step(check=True)
    assert f"{dropin} has been edited" in " ".join(foreseen.warnings)
    assert os.listdir(dropin.parent) == ["90-x.conf"]
    report = step(check=False)
    copy = dropin.with_name("90-x.conf.edited-1")
    assert f"the edited file is now {copy}" in " ".join(report.warnings)
    assert (copy.read_bytes(), stat.S_IMODE(copy.stat().st_mode)) == (edited, 0o600)
    assert dropin.exists() is (then != "roll back")
    assert not any("edited" in warning for warning in _persist.apply(VALUES, persist="90-x").warnings)


def test_a_second_edit_does_not_replace_the_copy_of_the_first(kernel: Any, dropin: Path) -> None:
    for number in (1, 2):
        _persist.apply(VALUES, persist="90-x")
        dropin.write_text(f"{dropin.read_text()}kernel.pid_max = {number}\n")
        _persist.apply(VALUES, persist="90-x")
    copies = [dropin.with_name(f"90-x.conf.edited-{number}").read_text()[-2:-1] for number in (1, 2)]
    assert copies == ["1", "2"]


def test_a_failure_leaves_the_edited_file_and_no_copy(
    kernel: Any, dropin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _persist.apply(VALUES, persist="90-x")
    dropin.write_text(edited := dropin.read_text() + "# mine\n")

    def fail(name: str, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(dropin))

    monkeypatch.setattr(_dropin, "write", fail)
    with pytest.raises(Failure, match="everything was restored"):
        _persist.apply({"vm.swappiness": "20"}, persist="90-x")
    assert dropin.read_text() == edited
    assert os.listdir(dropin.parent) == ["90-x.conf"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(make: Callable[[Path], None], kernel: Any, dropin: Path) -> None:
    make(dropin)
    for attempt in (lambda: _persist.apply(VALUES, persist="90-x"), lambda: _persist.roll_back("90-x")):
        with pytest.raises(Failure, match="is not a regular file"):
            attempt()
    assert kernel.written == []


def test_a_huge_drop_in_is_told(kernel: Any, dropin: Path) -> None:
    dropin.write_text(_dropin.MARK)
    os.truncate(dropin, 1 << 40)
    with pytest.raises(OSError, match="File too large"):
        _persist.apply(VALUES, persist="90-x")
    assert kernel.written == []


CLAMPED = {"net.core.somaxconn": "100000"}


def test_what_the_kernel_made_of_a_value_is_nobody_elses_doing(kernel: Any, dropin: Path) -> None:
    _persist.apply(CLAMPED, persist="90-x")
    assert kernel.get("net.core.somaxconn") == "65535"
    kernel.put("vm.swappiness", "61")
    assert _persist.roll_back("90-x").warnings == []


def test_check_mode_foretells_what_the_kernel_made_of_the_value(
    kernel: Any, dropin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _persist.apply(CLAMPED, persist="90-x")
    monkeypatch.setattr(_durable, "write", None)
    foreseen = _persist.apply(CLAMPED, persist="90-x", check=True)
    done = _persist.apply(CLAMPED, persist="90-x")
    assert foreseen.changes == done.changes
    assert foreseen.warnings == done.warnings
    kernel.put("net.core.somaxconn", "77")
    assert _persist.apply(CLAMPED, persist="90-x", check=True).changes["net.core.somaxconn"].status == "applied"


def test_what_others_set_is_told_though_another_parameter_was_applied_since(kernel: Any, dropin: Path) -> None:
    _persist.apply({"vm.swappiness": "10"}, persist="90-x")
    kernel.put("vm.swappiness", "77")
    _persist.apply(CLAMPED, persist="90-x")
    assert "another process had set vm.swappiness to '77'" in " ".join(_persist.roll_back("90-x").warnings)


def test_a_second_identical_call_does_nothing(kernel: Any, dropin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _persist.apply(VALUES, persist="90-x")
    kernel.written.clear()
    monkeypatch.setattr(_durable, "write", None)
    report = _persist.apply(VALUES, persist="90-x")
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
        _persist.apply({"vm.swappiness": "30"}, persist="90-x")
    found = kernel.values(), _dropin.take("90-x"), _dropin.read_record("90-x")
    write = _durable.write

    def fail(path: str, *rest: Any, **keywords: Any) -> None:
        if path.endswith(".json" if failing == "record" else ".conf"):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        write(path, *rest, **keywords)

    with monkeypatch.context() as patch:
        if failing != "kernel":
            patch.setattr(_durable, "write", fail)
        with pytest.raises(Failure, match="everything was restored"):
            _persist.apply({**VALUES, "vm.swappiness": "201" if failing == "kernel" else "10"}, persist="90-x")
    assert (kernel.values(), _dropin.take("90-x"), _dropin.read_record("90-x")) == found


def test_the_holder_confirms_his_lease(kernel: Any, dropin: Path) -> None:
    found = kernel.values()
    _lease.acquire({**VALUES, "net.core.somaxconn": "5"}, "anna", 60)
    _persist.apply(VALUES, holder="anna", persist="90-x")
    assert _journal.read() is None
    assert kernel.get("vm.swappiness") == "10"
    assert kernel.get("net.core.somaxconn") == "4096", "lent and not confirmed"
    _persist.roll_back("90-x")
    assert kernel.values() == found, "the originals are those from before the lease"


@pytest.mark.parametrize("holder", [None, "bert"])
def test_nobody_else_sets_values_during_a_lease(holder: str | None, kernel: Any, dropin: Path) -> None:
    _persist.apply({"net.core.somaxconn": "5"}, persist="90-x")
    _lease.acquire(VALUES, "anna", 60)
    for attempt in (
        lambda: _persist.apply(VALUES, holder=holder),
        lambda: _persist.roll_back("90-x", holder=holder),
    ):
        with pytest.raises(Failure, match="anna holds a lease on this host"):
            attempt()
    assert kernel.get("net.core.somaxconn") == "5"


def test_a_lease_that_ran_out_is_settled_first(kernel: Any, expire: Callable[[], None]) -> None:
    _lease.acquire(VALUES, "anna", 60)
    expire()
    assert _persist.apply({"vm.swappiness": "5"}).changes["vm.swappiness"].before == "60"
    assert kernel.get("vm.dirty_ratio") == "20"


def test_values_that_somebody_else_set_are_told_when_rolling_back(kernel: Any, dropin: Path) -> None:
    _persist.apply(VALUES, persist="90-x")
    kernel.put("vm.swappiness", "77")
    assert "another process had set vm.swappiness to '77'" in " ".join(_persist.roll_back("90-x").warnings)


def test_a_roll_back_that_fails_keeps_its_record(kernel: Any, dropin: Path) -> None:
    _persist.apply(VALUES, persist="90-x")

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
    with pytest.raises(Failure, match="is not a valid name"):
        _persist.apply(VALUES, persist=name)
    assert kernel.written == []


def test_leaves_links_alone(kernel: Any, dropin: Path) -> None:
    dropin.symlink_to("../sysctl.conf")
    with pytest.raises(Failure, match="is a link"):
        _persist.apply(VALUES, persist="90-x")


def test_a_damaged_record_is_told(kernel: Any, dropin: Path) -> None:
    _persist.apply(VALUES, persist="90-x")
    Path(_dropin.record_path_of("90-x")).write_text("{")
    with pytest.raises(Failure, match="cannot be read"):
        _persist.roll_back("90-x")
    assert kernel.get("vm.swappiness") == "10"


@pytest.mark.parametrize(
    "damage",
    [
        {"originals": {"../../etc/passwd": "1"}},
        {"originals": {"vm.swappiness": 1}},
        {"applied": {"vm.swappiness": "\ud800"}},
        {"requested": []},
        {"former": {"content": "!", "mode": 420, "uid": 0, "gid": 0}},
        {"former": {"content": "", "mode": "rw", "uid": 0, "gid": 0}},
        {"former": {"content": ""}},
    ],
    ids=str,
)
def test_a_record_that_is_none_is_told_before_anything_is_undone(
    damage: dict[str, Any], kernel: Any, dropin: Path
) -> None:
    _persist.apply(VALUES, persist="90-x")
    path = Path(_dropin.record_path_of("90-x"))
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    kernel.written.clear()
    for attempt in (lambda: _persist.roll_back("90-x"), lambda: _persist.apply(VALUES, persist="90-x")):
        with pytest.raises(Failure, match="cannot be read"):
            attempt()
    assert kernel.written == []


def test_check_mode_writes_nothing(kernel: Any, dropin: Path) -> None:
    report = _persist.apply(VALUES, persist="90-x", check=True)
    assert report.file is not None
    assert "vm.swappiness = 10" in report.file[2]
    assert not dropin.exists()
    _persist.apply(VALUES, persist="90-x")
    kernel.written.clear()
    assert _persist.roll_back("90-x", check=True).changes["vm.swappiness"].applied == "60"
    assert kernel.written == []
    assert dropin.exists()


@pytest.mark.parametrize("check", [True, False])
def test_a_drop_in_that_does_not_prevail_is_told(check: bool, kernel: Any, dropin: Path) -> None:
    (dropin.parent / "99-c.conf").write_text("vm.dirty_ratio = 30\n")
    (kernel.base / "sysctl.conf").write_text("vm.swappiness = 77\n")
    (dropin.parent / "99-sysctl.conf").symlink_to("../gone.conf")
    assert _persist.apply(VALUES, persist="90-x", check=check).warnings == [
        f"{dropin.parent}/99-sysctl.conf was not checked: it is a dangling link to ../gone.conf, "
        "which is ignored at boot",
        f"{dropin.parent}/99-c.conf sets vm.dirty_ratio to 30, which disables vm.dirty_bytes, "
        f"and prevails over {dropin} at boot and after `sysctl --system`",
        f"{kernel.base}/sysctl.conf sets vm.swappiness to 77 and prevails over {dropin} "
        "after `sysctl --system`, which also runs at boot where systemd is not the init",
    ]


LOW, HIGH = "net.ipv4.ipfrag_low_thresh", "net.ipv4.ipfrag_high_thresh"


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ({LOW: "1000000", HIGH: "2000000"}, [LOW, HIGH]),
        ({LOW: "5000000", HIGH: "6000000"}, [HIGH, LOW]),
        ({"net.ipv4.tcp_rmem": "4096 131072 8388608", "net.core.rmem_max": "8388608"}, None),
    ],
)
def test_the_drop_in_can_be_applied_line_by_line(
    values: dict[str, str], order: list[str] | None, kernel: Any, dropin: Path
) -> None:
    _persist.apply(values, persist="90-x")
    text = dropin.read_text()
    assert [line.split(" = ")[0] for line in text.splitlines()[3:]] == (order or sorted(values))
    _persist.apply(dict(reversed(list(values.items()))), persist="90-x")
    assert dropin.read_text() == text


def test_what_spreads_is_written_first_and_told_of_nobody(kernel: Any, dropin: Path) -> None:
    spread, own = "net.ipv4.conf.all.forwarding", "net.ipv4.conf.a0.forwarding"
    for parameter in (spread, own, "net.ipv4.conf.all.accept_redirects"):
        kernel.put(parameter, "0")
    assert _persist.apply({own: "0", spread: "1"}, persist="90-x", allow_unsafe=[own, spread]).warnings == []
    assert [line.split(" = ")[0] for line in dropin.read_text().splitlines()[3:]] == [spread, own]


def test_a_name_that_means_something_else_in_a_file_is_not_kept(kernel: Any, dropin: Path) -> None:
    parameter = "net.ipv4.neigh.a=b.gc_stale_time"
    kernel.put(parameter, "60")
    report = _persist.apply({parameter: "70", "vm.swappiness": "10"}, persist="90-x")
    assert "a=b" not in dropin.read_text()
    assert [f"{parameter} is set, but will not survive a reboot" in warning for warning in report.warnings] == [True]


def test_what_is_no_sysctl_is_set_and_rolled_back_but_not_kept(
    kernel: Any, dropin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thp = "transparent_hugepage.enabled"
    kernel.put(thp, "madvise")
    monkeypatch.setattr(_kind, "SYSFS", str(tmp_path))
    path = Path(_kernel.path_of(thp))
    path.parent.mkdir(parents=True)
    path.write_text("always [madvise] never\n")
    report = _persist.apply({**VALUES, thp: "never"}, persist="90-x")
    assert "transparent_hugepage" not in dropin.read_text()
    assert [thp in warning and "not survive a reboot" in warning for warning in report.warnings] == [True]
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
    with pytest.raises(Failure, match="everything was restored"):
        _persist.apply({"vm.swappiness": "10"}, persist="90-x")
    assert kernel.values() == found
    assert _dropin.take("90-x") is None
    assert _dropin.read_record("90-x") is None


@pytest.mark.parametrize("check", [True, False])
def test_what_no_roll_back_undoes_is_told(check: bool, kernel: Any) -> None:
    parameter = "net.ipv6.conf.eth0.disable_ipv6"
    kernel.put(parameter, "0")
    report = _persist.apply({parameter: "1"}, allow_unsafe=[parameter], check=check)
    assert f"{parameter}: rolling back will not undo this, because the kernel removes IPv6" in " ".join(report.warnings)
    if not check:
        assert _persist.apply({parameter: "1"}, allow_unsafe=[parameter]).warnings == [], "it has that value already"


def _confirmed(values: dict[str, str]) -> str:
    """Lease the values and confirm them, as apply.yml does: the nonce."""
    lease = _lease.acquire(values, "apply", 60).lease
    assert lease
    _persist.apply(values, "apply", persist="90-x", nonce=lease["nonce"])
    return str(lease["nonce"])


def test_what_an_earlier_role_has_set_stays_when_the_next_one_does_not_name_it(kernel: Any, dropin: Path) -> None:
    found = kernel.values()
    _persist.apply({"net.core.somaxconn": "8192", "vm.dirty_bytes": "8388608"}, persist="90-x")
    _persist.apply({"net.core.netdev_max_backlog": "2000", "vm.dirty_ratio": "30"}, persist="90-x")
    assert dropin.read_text().splitlines()[3:] == [
        "net.core.netdev_max_backlog = 2000",
        "net.core.somaxconn = 8192",
        "vm.dirty_ratio = 30",
    ], "but not the partner of one that it names"
    _persist.roll_back("90-x")
    assert kernel.values() == found


def test_a_failed_second_role_leaves_the_first_one(kernel: Any, dropin: Path) -> None:
    found = kernel.values()
    _confirmed({"net.core.somaxconn": "8192"})
    first = kernel.values(), dropin.read_bytes()
    second = _confirmed({"net.core.somaxconn": "16384", "vm.swappiness": "10"})
    predicted = _persist.roll_back("90-x", check=True, nonce=second)
    undone = _persist.roll_back("90-x", nonce=second)
    assert (kernel.values(), dropin.read_bytes()) == first
    assert undone.changes == predicted.changes
    assert undone.file == predicted.file
    assert _persist.roll_back("90-x", nonce=second).changes == {}, "it is undone already"
    _persist.roll_back("90-x")
    assert (kernel.values(), dropin.exists()) == (found, False)


def test_what_was_set_again_under_another_name_is_rolled_back_in_that_order(kernel: Any, dropin: Path) -> None:
    kernel.put("vm.swappiness", "60")
    _persist.apply({"vm.swappiness": "10"}, persist="91-a")
    _persist.apply({"vm.swappiness": "20"}, persist="90-b")
    for check in (True, False):
        with pytest.raises(
            Failure, match=r"vm\.swappiness was set again under the name 90-b since; roll that back first"
        ):
            _persist.roll_back("91-a", check=check)
    assert kernel.get("vm.swappiness") == "20"
    _persist.roll_back("90-b")
    assert kernel.get("vm.swappiness") == "10"
    _persist.roll_back("91-a")
    assert kernel.get("vm.swappiness") == "60"


def test_a_confirmation_that_changes_nothing_leaves_no_trace(kernel: Any, dropin: Path) -> None:
    values = {"net.core.somaxconn": "8192", "vm.dirty_ratio": "30"}
    first = _confirmed(values)
    record = Path(_dropin.record_path_of("90-x")).read_bytes()
    _confirmed(values)
    assert Path(_dropin.record_path_of("90-x")).read_bytes() == record
    assert set(_persist.roll_back("90-x", nonce=first).changes) >= set(values)


def test_a_roll_back_of_a_confirmation_undoes_no_later_call(kernel: Any, dropin: Path) -> None:
    first = _confirmed({"net.core.somaxconn": "8192"})
    _persist.apply({"vm.swappiness": "10"}, persist="90-x")
    assert _persist.roll_back("90-x", nonce=first).changes == {}
    assert (kernel.get("net.core.somaxconn"), kernel.get("vm.swappiness")) == ("8192", "10")


def test_the_first_confirmation_is_undone_without_a_trace(kernel: Any, dropin: Path) -> None:
    found = kernel.values()
    _persist.roll_back("90-x", nonce=_confirmed({"net.core.somaxconn": "8192"}))
    assert (kernel.values(), dropin.exists(), Path(_dropin.STATE_DIRECTORY).exists()) == (found, False, False)


def test_what_is_secret_is_neither_leased_nor_kept_in_a_file(kernel: Any, dropin: Path) -> None:
    """Other accounts may read the journal and files of sysctl.d."""
    name, key = "net.ipv4.tcp_fastopen_key", "00000000-00000000-00000000-00000001"
    kernel.put(name, "00000000-00000000-00000000-00000000")
    with pytest.raises(Failure, match=f"a file that others may read would show {name}"):
        _persist.apply({name: key}, persist="90-x", allow_unsafe=[name])
    with pytest.raises(Failure, match=f"{name} cannot be leased: the journal, which others may read, would show it"):
        _lease.acquire({name: key}, "anna", 60, allow_unsafe=[name])
    _persist.apply({name: key}, allow_unsafe=[name])
    assert kernel.get(name) == key
