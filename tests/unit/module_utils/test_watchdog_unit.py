from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _journal, _watchdog, _watchdog_unit

COLLECTIONS = Path(__file__).parents[3] / "playbooks/collections"


def test_the_command_starts_a_confined_unit_that_waits_until_it_is_ready() -> None:
    command = _watchdog_unit.command("/run/autotune/watchdog.pyz")
    options, program = command[: command.index("--")], command[command.index("--") + 1 :]
    assert command[0] == "systemd-run"
    assert program == [sys.executable, "-I", "/run/autotune/watchdog.pyz"]
    assert "--service-type=notify" in options
    assert "--no-ask-password" in options
    settings = dict(item.removeprefix("--property=").split("=", 1) for item in options if "--property=" in item)
    assert settings["ProtectSystem"] == "strict"
    assert settings["ReadWritePaths"] == "/run/autotune"
    assert settings["NoNewPrivileges"] == "yes"
    assert settings["Restart"] == "on-failure"
    assert "CAP_NET_ADMIN" in settings["CapabilityBoundingSet"]
    assert "CAP_SYS_MODULE" not in settings["CapabilityBoundingSet"]
    assert "ProtectKernelTunables" not in settings, "it is there to write them"


def test_every_unit_has_a_name_of_its_own() -> None:
    names = {item for dummy in range(3) for item in _watchdog_unit.command("/x") if item.startswith("--unit=")}
    assert len(names) == 3


def test_systemd_is_used_where_it_is_the_init_and_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = {"net": "1", "mnt": "1", "pid": "1"}
    monkeypatch.setattr(_watchdog_unit.os.path, "isdir", lambda path: path == "/run/systemd/system")
    monkeypatch.setattr(_watchdog_unit.os, "geteuid", lambda: 0)
    monkeypatch.setattr(_watchdog_unit, "_namespace", lambda process, kind: inner[kind] if process == "self" else "1")
    assert _watchdog_unit.is_possible()
    inner["net"] = "2"
    assert not _watchdog_unit.is_possible(), "the unit would see another net.*"


def test_the_program_needs_nothing_else_and_tells_systemd(tmp_path: Path) -> None:
    """As systemd runs it; its journal is in /run/autotune of namespaces of its own."""
    if os.geteuid() != 0:
        pytest.skip("a /run of its own needs root")
    (tmp_path / "watchdog.pyz").write_bytes(_watchdog_unit.program())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(10)
        script = 'mount -t tmpfs run /run && mkdir /run/autotune && exec "$0" -I "$1"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, sys.executable, str(tmp_path / "watchdog.pyz")],
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(tmp_path / "notify")},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert notified.recv(100) == b"READY=1"


HANGING = """
import sys, time
sys.path.insert(0, sys.argv[1])
from ansible_collections.autotune.kernel.plugins.module_utils import _journal, _lease, _kernel, _watchdog
_watchdog.ensure = list
parameter = "net.ipv4.tcp_fin_timeout"
own = _kernel.read(parameter)
_lease.acquire({parameter: "17"}, "anna", 60)
_journal.write(_journal.replace(_journal.read(), deadline=_journal.now() - 1))
with _journal.locked():
    print(own, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces with settings of their own need root")
def test_the_units_rights_are_enough_to_end_a_call_that_hangs_and_to_restore(tmp_path: Path) -> None:
    """That of a root who has all rights, as a module's call is, while the unit has few."""
    (tmp_path / "watchdog.pyz").write_bytes(_watchdog_unit.program())
    (tmp_path / "hanging.py").write_text(HANGING)
    bound = next(item for item in _watchdog_unit.command("/x") if "CapabilityBoundingSet" in item).rpartition("=")[2]
    # A right that this machine does not have either cannot be given.
    dump = subprocess.run(["setpriv", "--dump"], capture_output=True, text=True, check=True).stdout
    own = dump.partition("Capability bounding set: ")[2].partition("\n")[0].split(",")
    wanted = [name.removeprefix("CAP_").lower() for name in bound.split()]
    rights = ",".join(f"+{name}" for name in wanted if name in own)
    script = f"""
mount --make-rprivate / && mount -t tmpfs -o mode=755 run /run
"$0" "$1/hanging.py" {COLLECTIONS} > "$1/own" &
until [ -s "$1/own" ]; do sleep 0.1; done
setpriv --bounding-set=-all,{rights} --inh-caps=-all --no-new-privs "$0" -I "$1/watchdog.pyz" || exit
[ ! -e /run/autotune/lease.json ] && grep -qxFf "$1/own" /proc/sys/net/ipv4/tcp_fin_timeout || exit 3
wait $!
[ $? = 137 ] || exit 4
"""
    command = ["unshare", "--net", "--mount", "sh", "-c", script, sys.executable, str(tmp_path)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A systemd that starts nothing unless told to; `forked` counts the processes started in its place."""
    state: dict[str, Any] = {"forked": 0, "error": None, "guard": None}
    monkeypatch.setattr(_journal, "RUN_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(_watchdog_unit.os, "geteuid", lambda: 0)
    monkeypatch.setattr(_watchdog_unit, "is_possible", lambda: True)

    def start(dummy_folder: str) -> None:
        if state["error"]:
            raise state["error"]
        state["guard"] = _watchdog._take_guard()

    def fork(guard: int) -> None:
        state["forked"] += 1
        os.close(guard)

    monkeypatch.setattr(_watchdog_unit, "start", start)
    monkeypatch.setattr(_watchdog, "_fork", fork)
    return state


def test_the_unit_is_started_once(systemd: dict[str, Any]) -> None:
    assert _watchdog.ensure() == []
    guard = systemd["guard"]
    assert guard is not None
    assert _watchdog.ensure() == []
    assert (systemd["guard"], systemd["forked"]) == (guard, 0)
    os.close(guard)


def test_when_systemd_will_not_a_process_takes_its_place_and_that_is_told(systemd: dict[str, Any]) -> None:
    systemd["error"] = OSError(errno.EAGAIN, "Failed to connect to bus")
    (warning,) = _watchdog.ensure()
    assert "Failed to connect to bus" in warning
    assert systemd["forked"] == 1


def test_a_unit_that_is_not_on_guard_does_not_count(systemd: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watchdog_unit, "start", lambda dummy: None)
    _watchdog.ensure()
    assert systemd["forked"] == 1


@pytest.mark.parametrize("code", [0, 1])
def test_the_answer_of_systemd_run_is_heard(code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "systemd-run").write_text(f"#!/bin/sh\necho no bus >&2\nexit {code}\n")
    (tmp_path / "systemd-run").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if code:
        with pytest.raises(OSError, match="no bus"):
            _watchdog_unit.start(str(tmp_path))
    else:
        _watchdog_unit.start(str(tmp_path))
    assert (tmp_path / "watchdog.pyz").stat().st_mode & 0o777 == 0o600
