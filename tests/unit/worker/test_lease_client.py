from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _kernel, _kind
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import lease_client
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.lease_client import (
    LeaseClient,
    LeaseExpired,
    RestoreFailed,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport

SWAPPINESS = "vm.swappiness"
BACK = {"holder": "anna", "nonce": "n1", "verified": True, "mismatches": [], "interference": {}}


class Host:
    """Answers module calls as `sysctl` and `sysctl_info` do; `nonces` are those of the leases it will give."""

    def __init__(self) -> None:
        self.value, self.nonces, self.verdict = "60", ["n1", "n2"], dict(BACK)
        self.ended: set[str | None] = set()
        self.calls: list[tuple[str, Any]] = []
        self.lease: dict[str, Any] | None = None

    def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((arguments.get("state", name), arguments.get("nonce")))
        if name == "sysctl_info":
            return {"parameters": {SWAPPINESS: {"value": self.value}}, "lease": self.lease}
        if arguments["state"] == "restored":
            return {"verdict": self.verdict}
        if arguments.get("nonce") in self.ended:
            raise LeaseExpired("The lease n1 has ended")
        after = {SWAPPINESS: str(arguments["values"][SWAPPINESS])}
        return {"applied": after, "originals": {SWAPPINESS: "60"}, "lease": {"nonce": self.nonces[0]}, "verdict": None}


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def lease(host: Host, told: list[str]) -> LeaseClient:
    """A lease with vm.swappiness=10."""
    made = LeaseClient(host, {"holder": "anna", "lease": 5}, told.append)
    assert made.apply({SWAPPINESS: 10}, "/tmp/x/group") == {SWAPPINESS: "10"}
    return made


def test_renews_by_its_nonce(lease: LeaseClient, host: Host) -> None:
    lease.apply({SWAPPINESS: 20}, None)
    assert host.calls == [("leased", None), ("leased", "n1")]


def test_begins_a_new_lease_after_expiry(lease: LeaseClient, host: Host, told: list[str]) -> None:
    host.ended, host.nonces = {"n1"}, ["n2"]
    assert lease.apply({SWAPPINESS: 20}, None) == {SWAPPINESS: "20"}
    assert host.calls[1:] == [("leased", "n1"), ("leased", None)]
    assert told == ["The lease n1 has ended"]


def test_a_lease_that_expires_in_the_middle_of_a_trial_spoils_it(lease: LeaseClient, host: Host) -> None:
    host.ended, host.nonces = {"n1"}, ["n2"]
    with pytest.raises(LeaseExpired, match="expired during the trial, so the host restored its original values"):
        lease.apply({SWAPPINESS: 10}, None, within_trial=True)
    lease.apply({SWAPPINESS: 10}, None)  # the next trial begins a new one


def test_reports_values_as_restored_once_the_host_has_verified_it(lease: LeaseClient) -> None:
    assert lease.restore() == "original values restored and verified"
    assert lease.restore() == "nothing was changed"


def test_reports_interference(lease: LeaseClient, host: Host) -> None:
    host.verdict["interference"] = {SWAPPINESS: "77"}
    assert "another process had set vm.swappiness to '77'" in lease.restore()


def test_an_unverified_restore_is_a_failure(lease: LeaseClient, host: Host) -> None:
    host.verdict |= {"verified": False, "mismatches": [{"parameter": SWAPPINESS}]}
    with pytest.raises(RestoreFailed, match="NEEDS ATTENTION: .* vm.swappiness could not be restored"):
        lease.restore()


@pytest.mark.parametrize("verdict", [None, {**BACK, "nonce": "another's"}])
def test_without_a_verdict_of_this_lease_the_values_are_compared(verdict: Any, lease: LeaseClient, host: Host) -> None:
    host.verdict = verdict
    host.value = "10"
    with pytest.raises(RestoreFailed, match="vm.swappiness is '10' and was '60'"):
        lease.restore()
    assert host.calls[-1][0] == "sysctl_info"


def test_equal_values_without_a_verdict_are_restored_values(lease: LeaseClient, host: Host) -> None:
    host.verdict = None  # type: ignore[assignment]
    assert lease.restore() == "original values restored and verified"


def test_without_a_lease_nothing_is_restored(host: Host) -> None:
    assert LeaseClient(host, {"holder": "anna"}, print).restore() == "nothing was changed"
    assert host.calls == []


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/sys and a journal of plain files; returns the parameter's."""
    monkeypatch.setattr(_kind, "PROC_SYS", str(tmp_path))
    monkeypatch.setattr(lease_client, "_JOURNALS", (str(tmp_path / "lease.json"), str(tmp_path / "network/lease.json")))
    (tmp_path / "lease.json").write_text(json.dumps({"nonce": "n1", "deadline": 1e12}))
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm/swappiness").write_text("10\n")
    return tmp_path / "vm/swappiness"


KEPT = {SWAPPINESS: "10"}


def test_a_trial_without_interference_is_valid(lease: LeaseClient, kernel: Path) -> None:
    assert lease.interference(KEPT, LocalTransport()) is None


def test_tabs_in_a_vector_are_no_interference(lease: LeaseClient, kernel: Path) -> None:
    kernel.write_text("4096\t131072\t6291456\n")
    assert lease.interference({SWAPPINESS: "4096 131072 6291456"}, LocalTransport()) is None


def test_the_bracketed_choice_is_the_value(
    lease: LeaseClient, kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kind, "SYSFS", str(tmp_path))
    path = Path(_kernel.path_of("transparent_hugepage.enabled"))
    path.parent.mkdir(parents=True)
    path.write_text("always [madvise] never\n")
    assert lease.interference({"transparent_hugepage.enabled": "madvise"}, LocalTransport()) is None
    assert "'madvise'" in (lease.interference({"transparent_hugepage.enabled": "never"}, LocalTransport()) or "")


def test_a_changed_value_invalidates_the_trial(lease: LeaseClient, kernel: Path) -> None:
    kernel.write_text("77\n")
    assert lease.interference(KEPT, LocalTransport()) == (
        "another process set vm.swappiness to '77' (it was '10') during the trial"
    )


@pytest.mark.parametrize(
    "journal", [None, "{", {"nonce": "n2", "deadline": 1e12}, {"nonce": "n1", "deadline": 1.0}, {"nonce": "n1"}]
)
def test_an_expired_lease_invalidates_the_trial(journal: Any, lease: LeaseClient, kernel: Path) -> None:
    path = Path(lease_client._JOURNALS[0])
    path.unlink() if journal is None else path.write_text(journal if journal == "{" else json.dumps(journal))
    assert "the lease expired during the trial" in (lease.interference(KEPT, LocalTransport()) or "")


@pytest.mark.parametrize("name", ["autotune-next", "autotune-0123456789abcdef"])
def test_a_study_of_any_name_keeps_its_lease(name: str, lease: LeaseClient, kernel: Path) -> None:
    journal = {"holder": f"anna@ops, study {name}", "nonce": "n1", "deadline": 1e12}
    Path(lease_client._JOURNALS[0]).write_text(json.dumps(journal, indent=1))
    assert lease.interference(KEPT, LocalTransport()) is None


def test_finds_the_lease_of_an_account_that_may_set_only_net(lease: LeaseClient, kernel: Path) -> None:
    roots, accounts = map(Path, lease_client._JOURNALS)
    accounts.parent.mkdir()
    roots.rename(accounts)
    assert lease.interference(KEPT, LocalTransport()) is None


def test_unreadable_values_are_ignored(lease: LeaseClient, kernel: Path) -> None:
    kernel.unlink()
    assert lease.interference(KEPT, LocalTransport()) is None


def test_a_parameter_without_a_file_is_read_by_the_module(
    lease: LeaseClient, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kernel, "path_of", lambda parameter: None)
    host.lease, host.value = {"nonce": "n1", "expires_in": 3.0}, "10"
    assert lease.interference(KEPT, LocalTransport()) is None
    host.value = "77"
    assert "another process set vm.swappiness" in (lease.interference(KEPT, LocalTransport()) or "")
    host.lease = None
    assert "the lease expired" in (lease.interference(KEPT, LocalTransport()) or "")
