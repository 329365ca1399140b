from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _durable,
    _journal,
    _lease,
    _persist,
    _process_group,
    _verdict,
    _watchdog,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

VALUES = {"vm.swappiness": "10", "vm.dirty_bytes": "8388608"}


def watch() -> None:
    _watchdog.watch(os.open(os.devnull, os.O_RDONLY))


def test_lends_and_takes_back(kernel: Any) -> None:
    found = kernel.values()
    report = _lease.acquire(VALUES, "anna", 60)
    assert kernel.get("vm.dirty_bytes") == "8388608"
    assert report.lease is not None
    assert 59 < report.lease["expires_in"] <= 60
    assert report.originals["vm.dirty_ratio"] == "20"
    report = _lease.release("anna")
    assert kernel.values() == found
    assert report.changes["vm.swappiness"].applied == "60"
    assert report.verdict is not None
    assert report.verdict["verified"]
    assert _journal.read() is None
    assert _lease.release().changes == {}


def test_the_journal_is_there_before_the_first_write(kernel: Any) -> None:
    def refuse(parameter: str, text: str) -> None:
        lease = _journal.read()
        assert lease is not None
        assert lease.originals["vm.swappiness"] == "60"
        assert lease.applied["vm.swappiness"] == "10"

    kernel.refuse = refuse
    _lease.acquire(VALUES, "anna", 60)
    assert kernel.written


def test_a_further_call_renews_widens_and_keeps_originals_and_nonce(kernel: Any) -> None:
    found = kernel.values()
    first = _lease.acquire({"vm.swappiness": "10"}, "anna", 5)
    second = _lease.acquire({"vm.swappiness": "20", "net.core.somaxconn": "70000"}, "anna", 60)
    assert first.lease is not None
    assert second.lease is not None
    assert first.lease["nonce"] == second.lease["nonce"]
    assert second.lease["expires_in"] > 59
    assert second.changes["vm.swappiness"].before == "10"
    assert second.originals == {"vm.swappiness": "60", "net.core.somaxconn": "4096"}
    lease = _journal.read()
    assert lease is not None
    assert lease.current_interference() == {}, "a clamped value is not somebody else's"
    _lease.release("anna")
    assert kernel.values() == found


def test_the_baseline_of_an_exclusive_pair_can_be_lent(kernel: Any) -> None:
    found = kernel.values()
    _lease.acquire({"vm.dirty_bytes": "8388608"}, "anna", 60)
    changes = _lease.acquire({"vm.dirty_bytes": "0"}, "anna", 60).changes
    assert changes["vm.dirty_bytes"].status == "applied"
    assert kernel.values() == found


@pytest.mark.parametrize("check", [False, True])
def test_another_holder_is_refused_by_name(check: bool, kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)
    for attempt in (
        lambda: _lease.acquire(VALUES, "bert", 60, check=check),
        lambda: _lease.release("bert", check=check),
    ):
        with pytest.raises(Failure, match="anna holds a lease on this host for another 60 seconds"):
            attempt()
    assert kernel.get("vm.swappiness") == "10"


def test_a_lease_that_ran_out_is_settled_before_the_next(kernel: Any, expire: Callable[[], None]) -> None:
    _lease.acquire(VALUES, "anna", 60)
    expire()
    report = _lease.acquire({"vm.swappiness": "30"}, "bert", 60)
    assert report.changes["vm.swappiness"].before == "60"
    assert report.originals == {"vm.swappiness": "60"}
    assert kernel.get("vm.dirty_ratio") == "20"
    assert report.verdict is not None
    assert report.verdict["holder"] == "anna"
    assert "the lease of anna expired" in report.warnings[0]
    assert _verdict.read() is None, "it has been told"


def test_the_holder_himself_gets_a_new_lease_after_his_own_ran_out(kernel: Any, expire: Callable[[], None]) -> None:
    first = _lease.acquire(VALUES, "anna", 60)
    expire()
    second = _lease.acquire(VALUES, "anna", 60)
    assert first.lease is not None
    assert second.lease is not None
    assert first.lease["nonce"] != second.lease["nonce"]


def test_a_watchdog_that_is_asked_to_end_restores_first(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `systemctl stop`, or a soft reboot, after which nobody would."""
    found = kernel.values()
    _lease.acquire(VALUES, "anna", 60)
    monkeypatch.setattr(_watchdog, "_terminated", False)
    _watchdog._terminate(signal.SIGTERM, None)
    watch()
    assert kernel.values() == found
    assert _journal.read() is None
    verdict = _verdict.read()
    assert verdict
    assert verdict["verified"]


def test_the_watchdog_restores_what_ran_out_and_leaves_its_verdict(kernel: Any, expire: Callable[[], None]) -> None:
    found = kernel.values()
    _lease.acquire(VALUES, "anna", 60)
    expire()
    watch()
    assert kernel.values() == found
    assert _journal.read() is None
    report = _lease.release("anna")
    assert report.verdict is not None
    assert report.verdict["verified"]
    assert sorted(report.verdict["restored"]) == ["vm.dirty_bytes", "vm.dirty_ratio", "vm.swappiness"]


def test_the_watchdog_goes_on_until_all_is_verified(
    kernel: Any, expire: Callable[[], None], replace_for: Callable[..., None]
) -> None:
    _lease.acquire(VALUES, "anna", 60)
    expire()
    verdicts = []

    def refuse(parameter: str, text: str) -> None:
        if parameter == "vm.swappiness":
            raise OSError(errno.EIO, "no")

    def sleep(dummy: float) -> None:
        verdicts.append(_verdict.read())
        assert _journal.read() is not None
        if len(verdicts) == 2:
            kernel.refuse = lambda parameter, text: None

    kernel.refuse = refuse
    replace_for(_watchdog, "time", sleep=sleep)
    watch()
    assert [verdict["mismatches"][0]["parameter"] for verdict in verdicts if verdict] == ["vm.swappiness"] * 2
    assert kernel.get("vm.swappiness") == "60"


def test_the_watchdog_tells_what_others_had_set_though_it_took_two_attempts(
    kernel: Any, expire: Callable[[], None], replace_for: Callable[..., None]
) -> None:
    _lease.acquire(VALUES, "anna", 60)
    kernel.put("vm.swappiness", "77")
    expire()

    def refuse(parameter: str, text: str) -> None:
        if parameter == "vm.dirty_ratio":
            raise OSError(errno.EIO, "no")

    def sleep(dummy: float) -> None:
        assert kernel.get("vm.swappiness") == "60"
        kernel.refuse = lambda parameter, text: None

    kernel.refuse = refuse
    replace_for(_watchdog, "time", sleep=sleep)
    watch()
    verdict = _verdict.read()
    assert verdict is not None
    assert (verdict["verified"], verdict["interference"]) == (True, {"vm.swappiness": "77"})


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


def fail_with(error: OSError) -> Callable[..., None]:
    def fail(*dummy: object, **keywords: object) -> None:
        raise error

    return fail


def test_the_watchdog_restores_where_no_verdict_can_be_written(
    kernel: Any, expire: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = kernel.values()
    _lease.acquire(VALUES, "anna", 60)
    expire()
    monkeypatch.setattr(_durable, "write", fail_with(NO_SPACE))
    watch()
    assert kernel.values() == found
    assert _journal.read() is None


def test_the_space_of_the_journal_serves_for_the_verdict(
    kernel: Any, expire: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _lease.acquire(VALUES, "anna", 60)
    expire()
    write = _durable.write

    def full(path: str, *arguments: Any) -> None:
        if Path(_journal.RUN_DIRECTORY, "lease.json").exists():
            raise NO_SPACE
        write(path, *arguments)

    monkeypatch.setattr(_durable, "write", full)
    watch()
    verdict = _verdict.read()
    assert verdict is not None
    assert verdict["verified"]


def test_the_watchdog_restores_once_though_the_journal_cannot_be_removed(
    kernel: Any, expire: Callable[[], None], monkeypatch: pytest.MonkeyPatch, replace_for: Callable[..., None]
) -> None:
    """What somebody sets after the values are back is his own, and not put back every other second."""
    found = kernel.values()
    _lease.acquire(VALUES, "anna", 60)
    expire()
    remove, naps = _durable.remove, []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 1:
            assert kernel.values() == found
            kernel.put("vm.swappiness", "77")
        if len(naps) == 3:
            assert kernel.get("vm.swappiness") == "77"
            monkeypatch.setattr(_durable, "remove", remove)

    monkeypatch.setattr(_durable, "remove", fail_with(READ_ONLY))
    replace_for(_watchdog, "time", sleep=sleep)
    watch()
    assert len(naps) == 3
    assert kernel.get("vm.swappiness") == "77"
    assert _journal.read() is None


def test_a_lease_ends_though_nothing_can_be_written(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = kernel.values()
    _lease.acquire(VALUES, "anna", 60)
    monkeypatch.setattr(_durable, "write", fail_with(NO_SPACE))
    report = _lease.release("anna")
    assert report.verdict is not None
    assert report.verdict["verified"]
    assert kernel.values() == found
    assert _journal.read() is None


def test_it_is_told_that_the_values_are_back_where_the_journal_stays(
    kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = kernel.values()
    _lease.acquire(VALUES, "anna", 60)
    monkeypatch.setattr(_durable, "remove", fail_with(READ_ONLY))
    with pytest.raises(
        Failure, match=r"original values were restored and verified, but the lease journal .*Read-only file system"
    ):
        _lease.release("anna")
    assert kernel.values() == found


def test_the_watchdog_leaves_a_renewed_lease_alone(kernel: Any, replace_for: Callable[..., None]) -> None:
    _lease.acquire(VALUES, "anna", 60)
    naps = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        assert kernel.get("vm.swappiness") == "10"
        if len(naps) == 3:
            _lease.release("anna")

    replace_for(_watchdog, "time", sleep=sleep)
    watch()
    assert len(naps) == 3


def test_the_watchdog_survives_a_lease_that_runs_out_while_it_looks(
    kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = kernel.values()
    _lease.acquire(VALUES, "anna", 60)
    looks = iter([False, True])
    monkeypatch.setattr(_journal.Lease, "is_expired", property(lambda self: next(looks, True)))
    monkeypatch.setattr(_journal.Lease, "expires_in", property(lambda self: -0.5))
    watch()  # really sleeps in between, which a negative time would end
    assert kernel.values() == found


def test_a_value_that_somebody_else_set_is_told_and_put_back(kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)
    kernel.put("vm.swappiness", "77")
    report = _lease.release("anna")
    assert report.verdict is not None
    assert report.verdict["interference"] == {"vm.swappiness": "77"}
    assert "vm.swappiness to '77'" in report.warnings[0]
    assert kernel.get("vm.swappiness") == "60"


def test_a_value_that_somebody_else_set_is_told_at_the_renewal_and_still_at_the_end(kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)
    kernel.put("vm.swappiness", "77")
    report = _lease.acquire({"vm.swappiness": "20"}, "anna", 60)
    assert "vm.swappiness to '77'" in report.warnings[0]
    report = _lease.release("anna")
    assert report.verdict is not None
    assert report.verdict["interference"] == {"vm.swappiness": "77"}
    assert "sysctl -w vm.swappiness=77" in report.warnings[0]
    assert kernel.get("vm.swappiness") == "60"


def test_a_value_that_somebody_else_set_is_not_forgotten_over_a_renewal_that_fails(kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)
    kernel.put("vm.swappiness", "77")
    with pytest.raises(Failure):
        _lease.acquire({"vm.swappiness": "201"}, "anna", 60)
    kernel.put("vm.swappiness", "10")
    report = _lease.release("anna")
    assert report.verdict is not None
    assert report.verdict["interference"] == {"vm.swappiness": "77"}


@pytest.mark.parametrize("ended_by", ["watchdog", "next contact", "holder"])
@pytest.mark.parametrize("call", ["renew", "confirm"])
def test_a_renewal_or_confirmation_that_comes_late_is_refused(
    call: str, ended_by: str, kernel: Any, expire: Callable[[], None]
) -> None:
    found = kernel.values()
    lease = _lease.acquire(VALUES, "anna", 60).lease
    assert lease is not None
    if ended_by == "holder":
        _lease.release("anna")
    else:
        expire()
    if ended_by == "watchdog":
        watch()
    attempts = {
        "renew": lambda: _lease.acquire(VALUES, "anna", 60, nonce=lease["nonce"]),
        "confirm": lambda: _persist.apply(VALUES, "anna", nonce=lease["nonce"]),
    }
    with pytest.raises(_lease.LeaseExpired, match="nothing was written") as lapsed:
        attempts[call]()
    assert kernel.values() == found
    assert _journal.read() is None
    if ended_by != "holder":
        assert "verified" in str(lapsed.value)
        assert lapsed.value.as_result()["verdict"]["verified"]


def test_the_nonce_of_an_earlier_lease_touches_no_later_one(kernel: Any) -> None:
    first = _lease.acquire(VALUES, "anna", 60).lease
    assert first is not None
    _lease.release("anna")
    second = _lease.acquire({"vm.swappiness": "20"}, "anna", 60).lease
    assert second is not None
    for attempt in (
        lambda: _lease.acquire(VALUES, "anna", 60, nonce=first["nonce"]),
        lambda: _lease.release("anna", nonce=first["nonce"]),
        lambda: _persist.apply(VALUES, "anna", nonce=first["nonce"]),
    ):
        with pytest.raises(_lease.LeaseExpired):
            attempt()
    assert kernel.get("vm.swappiness") == "20"
    assert _lease.acquire({"vm.swappiness": "30"}, "anna", 60, nonce=second["nonce"]).lease is not None
    assert _lease.release("anna", nonce=second["nonce"]).verdict is not None


def test_what_ran_under_the_lease_ends_with_it(
    kernel: Any, expire: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    for name in ("end", "end_strays"):
        record = lambda path, name=name: ended.append((name, path, kernel.get("vm.swappiness"))) or 3  # noqa: E731
        monkeypatch.setattr(_process_group, name, record)
    _lease.acquire(VALUES, "anna", 60, process_group="/tmp/x/group")
    _lease.acquire(VALUES, "anna", 60)
    assert ended == []
    expire()
    watch()
    # First what could set values itself; what has left the group may not be found at once, and the values do not wait.
    assert ended == [("end", "/tmp/x/group", "10"), ("end_strays", "/tmp/x/group", "60")]
    verdict = _verdict.read()
    assert verdict is not None
    assert verdict["processes_ended"] == 6


def test_a_failed_restore_is_loud_and_keeps_the_journal(kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)

    def refuse(parameter: str, text: str) -> None:
        raise OSError(errno.EIO, "no")

    kernel.refuse = refuse
    with pytest.raises(Failure, match="NEEDS ATTENTION: vm.swappiness is '10' and should be '60'"):
        _lease.release("anna")
    assert _journal.read() is not None


def test_a_first_attempt_that_fails_leaves_no_lease(kernel: Any) -> None:
    found = kernel.values()
    with pytest.raises(Failure):
        _lease.acquire({"vm.swappiness": "201", "net.core.somaxconn": "5"}, "anna", 60)
    assert _journal.read() is None
    assert kernel.values() == found


def test_a_renewal_that_fails_leaves_the_lease_as_it_was(kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)
    with pytest.raises(Failure, match="everything was restored"):
        _lease.acquire({"vm.swappiness": "201", "net.core.somaxconn": "5"}, "anna", 60)
    lease = _journal.read()
    assert lease is not None
    assert lease.applied["vm.swappiness"] == "10"
    assert "net.core.somaxconn" not in lease.originals
    assert kernel.get("vm.swappiness") == "10"


@pytest.mark.parametrize("failing", ["journal", "watchdog"])
def test_without_journal_or_watchdog_nothing_is_written(
    failing: str, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*dummy: object, **keywords: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target, name = (_durable, "write") if failing == "journal" else (_watchdog, "ensure")
    monkeypatch.setattr(target, name, fail)
    with pytest.raises(Failure, match=f"{failing} could not be .*No space left on device.*; no value was changed"):
        _lease.acquire(VALUES, "anna", 60)
    assert kernel.written == []
    assert _journal.read() is None


def test_its_time_is_that_since_the_boot_which_nobody_can_set() -> None:
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= _journal.now() - uptime < 60


def test_a_lease_of_an_earlier_boot_is_none(kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)
    kernel.put("kernel.random.boot_id", "another")
    assert _journal.read() is None
    assert _lease.acquire({"vm.swappiness": "20"}, "bert", 60).originals == {"vm.swappiness": "10"}


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda content: "{", "cannot be read"),
        (lambda content: "[]", "does not hold a JSON object"),
        (lambda content: json.dumps({**content, "format": 9}), "its format is 9"),
        (lambda content: json.dumps({**content, "network_namespace": 1}), "another network namespace"),
        (lambda content: json.dumps({**content, "network_namespace": "x"}), "network_namespace: not a number"),
        (lambda content: json.dumps({k: v for k, v in content.items() if k != "originals"}), "'originals'"),
        (lambda content: json.dumps({**content, "originals": {"../x": "1"}}), "is not the name of"),
        (lambda content: json.dumps({**content, "previous": {"vm.swappiness": "\ud800"}}), "cannot be read"),
    ],
)
def test_a_journal_that_makes_no_sense_is_told_not_overwritten(
    damage: Callable[[dict[str, Any]], str], complaint: str, kernel: Any
) -> None:
    _lease.acquire(VALUES, "anna", 60)
    path = Path(_journal.RUN_DIRECTORY, "lease.json")
    text = damage(json.loads(path.read_text()))
    path.write_text(text)
    for attempt in (lambda: _lease.acquire(VALUES, "anna", 60), _lease.release):
        with pytest.raises(Failure, match=complaint):
            attempt()
    assert path.read_text() == text


def test_a_parameter_that_went_away_is_told(kernel: Any) -> None:
    _lease.acquire(VALUES, "anna", 60)
    kernel.remove("vm.swappiness")
    report = _lease.release("anna")
    assert report.verdict is not None
    assert report.verdict["missing"] == ["vm.swappiness"]
    assert "vm.swappiness no longer exists" in report.warnings[0]


def test_check_mode_writes_nothing_at_all(kernel: Any, expire: Callable[[], None]) -> None:
    changes = _lease.acquire(VALUES, "anna", 60, check=True).changes
    assert changes["vm.swappiness"].applied == "10"
    assert not Path(_journal.RUN_DIRECTORY).exists()
    _lease.acquire(VALUES, "anna", 60)
    expire()
    kernel.written.clear()
    assert _lease.release(check=True).changes["vm.swappiness"].applied == "60"
    assert "would be restored first" in _lease.acquire(VALUES, "bert", 60, check=True).warnings[0]
    assert kernel.written == []
    assert _journal.read() is not None


def test_without_root_it_says_so(kernel: Any, replace_for: Callable[..., None]) -> None:
    def fail(*dummy: object, **keywords: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    replace_for(_journal, "os", makedirs=fail)
    with pytest.raises(Failure, match="root is required, use become"):
        _lease.acquire(VALUES, "anna", 60)
