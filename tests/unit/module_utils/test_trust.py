"""What root reads back and obeys: nobody else can have written it, or have led there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import (
    _durable,
    _facts,
    _gate_client,
    _journal,
    _lease,
    _trust,
    _watchdog,
    _watchdog_unit,
)
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
OTHER = 999
LEASE = {
    "holder": "anna (tester)",
    "nonce": "ab",
    "originals": {"kernel.core_pattern": "|/tmp/x"},
    "applied": {},
    "previous": {},
    "interference": {},
    "process_group": None,
    "format": 2,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "run/autotune"
    folder.mkdir(parents=True)
    (folder / "lease.json").write_text("{}")
    return folder / "lease.json"


def test_a_file_of_our_own_is_read(path: Path) -> None:
    assert _durable.read_json(str(path)) == {}
    path.unlink()
    assert _durable.read_json(str(path)) is None


@pytest.mark.parametrize("place", ["/", "/run"])
def test_nobody_is_told_to_remove_a_folder_of_the_system(
    place: str, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(status: os.stat_result, path: str, is_passage: bool = False) -> None:
        if path == place:
            raise _trust.Untrusted("it belongs to user id 999", path)

    monkeypatch.setattr(_journal, "RUN_DIRECTORY", "/run/autotune-that-is-not-there")
    monkeypatch.setattr(_trust, "_check_owner", refuse)
    for name in ("makedirs", "chmod"):
        monkeypatch.setattr(os, name, lambda *dummy: None)
    for attempt in (_journal.read_any, lambda: _journal.locked().__enter__()):
        with pytest.raises(
            Failure, match=rf"^{place}: it belongs to user id 999, .*\(chown root, chmod go-w\)"
        ) as said:
            attempt()
        assert "remove" not in str(said.value)


def _linked(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


@pytest.mark.parametrize("level", [0, 1, 2], ids=["file", "folder", "folder above"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda place: os.chown(place, OTHER, 0), f"belongs to user id {OTHER}", marks=as_root),
        (lambda place: place.chmod(0o777), "accounts other than its owner can write"),
        pytest.param(
            lambda place: [os.chown(place, 0, OTHER), place.chmod(0o770)],
            "accounts other than its owner",
            marks=as_root,
        ),
        (_linked, "it is a link"),
    ],
    ids=["owner", "mode", "group", "link"],
)
def test_what_others_can_have_changed_is_not_read(
    level: int, change: Callable[[Path], Any], why: str, path: Path
) -> None:
    change([path, *path.parents][level])
    with pytest.raises(OSError, match=why):
        _durable.read_json(str(path))


def test_a_folder_like_tmp_may_be_on_the_way_but_not_hold_the_file(path: Path) -> None:
    path.parents[1].chmod(0o1777)
    assert _durable.read_json(str(path)) == {}
    path.parent.chmod(0o1777)
    with pytest.raises(_trust.Untrusted):
        _durable.read_json(str(path))


@pytest.mark.parametrize("anybodys", [False, True])
def test_what_is_no_plain_file_is_not_waited_for(anybodys: bool, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        _durable.read_json(str(path), anybodys)
    path.unlink()
    path.write_bytes(b"")
    os.truncate(path, _trust.LARGEST + 1)
    with pytest.raises(OSError, match="larger than"):
        _durable.read_json(str(path), anybodys)


def test_a_file_that_others_have_put_in_the_way_does_not_become_ours(path: Path) -> None:
    planted = path.with_name(f".{path.name}.new")
    planted.write_text("planted")
    with planted.open() as theirs:
        _durable.write(str(path), b"[1]")
        assert os.fstat(theirs.fileno()).st_ino != path.stat().st_ino
    assert path.read_text() == "[1]"


@as_root
def test_nothing_is_kept_or_run_in_a_folder_of_another_account(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Role access once gave /run/autotune away, where root then put a program for systemd to run as root."""
    os.mkdir(_journal.RUN_DIRECTORY)
    os.chown(_journal.RUN_DIRECTORY, OTHER, OTHER)
    monkeypatch.setattr(_watchdog, "ensure", lambda: _watchdog_unit.start(_journal.folder()))
    for attempt in (lambda: _lease.acquire({"vm.swappiness": "10"}, "anna", 60), _lease.release):
        with pytest.raises(Failure, match=f"belongs to user id {OTHER}"):
            attempt()
    assert os.listdir(_journal.RUN_DIRECTORY) == []
    assert kernel.written == []


@as_root
def test_a_journal_of_another_account_is_not_obeyed(kernel: Any, expire: Callable[[], None]) -> None:
    _lease.acquire({"vm.swappiness": "10"}, "anna", 60)
    expire()
    kernel.written.clear()
    os.chown(Path(_journal.RUN_DIRECTORY, "lease.json"), OTHER, OTHER)
    with pytest.raises(Failure, match=r"lease.json: it belongs to user id 999, .* not trusted"):
        _lease.release()
    assert kernel.written == []


@pytest.fixture
def network(kernel: Any) -> Path:
    """The folder in which the account with net.* alone has its lease; whatever that account writes is in it."""
    folder = Path(_journal.RUN_DIRECTORY, "network")
    folder.mkdir(parents=True)
    os.chown(folder, OTHER, OTHER)
    return folder


def write_lease(folder: Path, kernel: Any, seconds: float, **changes: Any) -> None:
    boot, namespace = kernel.get("kernel.random.boot_id"), os.stat("/proc/self/ns/net").st_ino
    content = {**LEASE, "boot_id": boot, "network_namespace": namespace, "deadline": _journal.now() + seconds}
    (folder / "lease.json").write_text(json.dumps({**content, **changes}))
    os.chown(folder / "lease.json", OTHER, OTHER)


@as_root
def test_the_lease_of_the_account_with_net_alone_keeps_root_away(kernel: Any, network: Path) -> None:
    write_lease(network, kernel, 60)
    for attempt in (
        lambda: _lease.acquire({"vm.swappiness": "10"}, "bert", 60),
        lambda: _lease.release("bert"),
        lambda: _lease.acquire({"vm.swappiness": "10"}, "anna (tester)", 60),
    ):
        with pytest.raises(Failure, match=r"anna \(tester\) holds a lease on this host for another"):
            attempt()
    assert kernel.written == []
    told = _facts.facts(["vm.swappiness"])["lease"]
    assert (told["holder"], told["nonce"]) == ("anna (tester)", "ab")


@as_root
def test_an_account_with_no_part_in_it_is_told_of_every_lease(
    kernel: Any, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It obeys none of them, so it need not believe them."""
    _journal._durable.write_json(f"{_journal.RUN_DIRECTORY}/verdict.json", {"nonce": "cd", "verified": True, "at": ""})
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(os, name, lambda: OTHER + 1)
    assert _facts.facts(["vm.swappiness"])["lease"] is None
    write_lease(network, kernel, 60)
    told = _facts.facts(["vm.swappiness"])
    assert told["lease"]["holder"] == "anna (tester)"
    assert told["verdict"]["nonce"] == "cd"


@as_root
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_whoever_asks_may_read_the_journal_or_is_told_to_become_root(
    mask: int, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = os.umask(mask)
    try:
        _lease.acquire({"vm.swappiness": "10"}, "anna", 60)
    finally:
        os.umask(former)
    assert os.stat(_journal.RUN_DIRECTORY).st_mode & 0o777 == 0o755

    def refuse(path: str, anybodys: bool = False) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(_trust, "read", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    with pytest.raises(Failure, match=rf"User id {OTHER} may not read .*lease.json: use become\.$"):
        _journal.read_any()


@as_root
@pytest.mark.parametrize("seconds", [60, -60])
def test_root_ends_it_by_the_accounts_own_program(
    seconds: float, kernel: Any, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the word of that journal, which names values that the account could never have set."""
    write_lease(network, kernel, seconds)
    gate = Path(_journal.RUN_DIRECTORY, "gate")
    answer = {"verdict": {"verified": True}, "parameters": {}, "warnings": ["told"]}
    gate.write_text(f"""#!/bin/sh
cat > {network}/asked; id -u >> {network}/asked; echo "$SUDO_USER" >> {network}/asked
rm {network}/lease.json; echo '{json.dumps(answer)}'
""")
    gate.chmod(0o755)
    monkeypatch.setattr(_gate_client, "GATE", str(gate))
    monkeypatch.setenv("SUDO_USER", "somebody")
    if seconds < 0:
        with pytest.raises(Failure, match="has expired, but its originals are not restored yet"):
            _lease.acquire({"vm.swappiness": "10"}, "bert", 60)
    report = _lease.release()
    assert (report.verdict, report.warnings) == (answer["verdict"], ["told"])
    assert (network / "asked").read_text() == '{"state": "restored"}0\n\n'
    assert kernel.written == []
    _lease.acquire({"vm.swappiness": "10"}, "bert", 60)


@as_root
def test_check_mode_foretells_what_that_program_does(kernel: Any, network: Path) -> None:
    write_lease(network, kernel, 60, originals={"vm.swappiness": "33"})
    change = _lease.release(check=True).changes["vm.swappiness"]
    assert (change.before, change.applied) == ("60", "33")
    assert kernel.written == []


@as_root
def test_without_that_program_root_says_what_is_missing(kernel: Any, network: Path) -> None:
    write_lease(network, kernel, -60)
    with pytest.raises(Failure, match="apply role autotune.kernel.access"):
        _lease.release()
    assert kernel.written == []


@as_root
@pytest.mark.parametrize(
    "plant",
    [
        lambda folder: (folder / "lease.json").symlink_to("/etc/shadow"),
        lambda folder: os.mkfifo(folder / "lease.json"),
        lambda folder: (folder / "lease.json").mkdir(),
        lambda folder: (folder / "lease.json").write_text("[" * 100_000),
        lambda folder: (folder.rmdir(), folder.symlink_to("/etc")),
    ],
    ids=["link", "pipe", "folder", "deep", "folder a link"],
)
def test_whatever_that_account_leaves_there_ends_in_a_line_at_most(
    plant: Callable[[Path], Any], kernel: Any, network: Path
) -> None:
    plant(network)
    with pytest.raises(Failure, match=r"network/lease.json cannot be read") as failure:
        _lease.acquire({"vm.swappiness": "10"}, "bert", 60)
    assert "\n" not in str(failure.value)
    assert "root:" not in str(failure.value)


@as_root
@pytest.mark.parametrize(
    "changes",
    [
        {"deadline": float("inf")},
        {"deadline": 10**400},
        {"deadline": "soon"},
        {"holder": "\x1b]0;title\x07"},
        {"holder": ["anna"]},
        {"applied": []},
        {"originals": {"vm.swappiness": 1}},
        {"process_group": 17},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_lease_that_is_none_is_refused_in_a_line(changes: dict[str, Any], kernel: Any, network: Path) -> None:
    write_lease(network, kernel, 60, **changes)
    with pytest.raises(Failure, match=r"network/lease.json cannot be read") as failure:
        _lease.acquire({"vm.swappiness": "10"}, "bert", 60)
    assert str(failure.value).isprintable()
