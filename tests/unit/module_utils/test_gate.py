# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the gate does for an account, and all that it does not do, on a fake kernel."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _gate, _gate_rules, _journal, _process_group
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

FIN = "net.ipv4.tcp_rmem"
LEND = {"state": "leased", "holder": "anna", "lease": 60, "values": {"vm.swappiness": 10}}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the rules must belong to root")


@pytest.fixture(autouse=True)
def _no_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_gate_rules, "RULES", str(tmp_path / "etc/access.json"))
    if os.geteuid() != 0:  # as if: whether it is root decides on vm.*
        monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def write_rules(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str) -> Path:
        (tmp_path / "etc").mkdir(exist_ok=True)
        path = tmp_path / "etc/access.json"
        path.write_text(content)
        return path

    return write


def test_lends_within_the_safe_ranges_and_gives_back(kernel: Any) -> None:
    answer = _gate.handle(LEND, "tester")
    assert answer["applied"] == {"vm.swappiness": "10"}
    assert answer["lease"]["holder"] == "anna (tester)"
    assert kernel.get("vm.swappiness") == "10"
    nonce = answer["lease"]["nonce"]
    assert _gate.handle({**LEND, "nonce": nonce, "values": {"vm.swappiness": 20}}, "tester")["changed"]
    assert _gate.handle({"state": "restored", "holder": "anna", "nonce": nonce}, "tester")["verdict"]["verified"]
    assert kernel.get("vm.swappiness") == "60"


def test_the_hosts_own_value_is_set_although_it_is_outside_the_safe_range(kernel: Any) -> None:
    """As every baseline of a study does."""
    kernel.put("net.core.somaxconn", "100")
    for value in (100, 4096, 100):
        answer = _gate.handle({**LEND, "values": {"net.core.somaxconn": value}}, "tester")
        assert answer["applied"] == {"net.core.somaxconn": str(value)}
    with pytest.raises(Failure, match="101 is not within the safe range"):
        _gate.handle({**LEND, "values": {"net.core.somaxconn": 101}}, "tester")


def test_check_mode_writes_nothing(kernel: Any) -> None:
    assert _gate.handle({**LEND, "check": True}, "tester")["changed"]
    assert kernel.get("vm.swappiness") == "60"
    assert _journal.read() is None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "only state=leased and"),
        ({**LEND, "state": "present"}, "only state=leased and"),
        ({**LEND, "state": ["leased"]}, "only state=leased and"),
        ({**LEND, "persist": "90-x"}, "persist requires root"),
        ({"state": "restored", "holder": "anna", "persist": "90-x"}, "persist requires root"),
        ({**LEND, "allow_unsafe": ["kernel.core_pattern"]}, "'allow_unsafe' is not an argument"),
        ({**LEND, "path": "/etc/shadow"}, "'path' is not an argument"),
        ({**LEND, "holder": None}, "holder is required"),
        ({**LEND, "holder": "a\nb"}, "holder: "),
        ({**LEND, "holder": "a" * 300}, "holder: "),
        ({**LEND, "lease": 0}, "lease: 0"),
        ({**LEND, "lease": 10**9}, "lease: 1000000000"),
        ({**LEND, "lease": True}, "lease: true"),
        ({**LEND, "lease": "60"}, 'lease: "60"'),
        ({**LEND, "nonce": "../x"}, "nonce: "),
        ({**LEND, "values": [["vm.swappiness", 1]]}, "values: "),
        ({**LEND, "values": {f"vm.x{number}": 1 for number in range(600)}}, "values: "),
        ({**LEND, "values": {"vm.swappiness": {"a": 1}}}, "values: "),
        ({**LEND, "values": {"vm.swappiness": [[1]]}}, "values: "),
        ({**LEND, "values": {"vm.swappiness": 201}}, "201 is not within the safe range 0 to 200"),
        ({**LEND, "values": {"vm.swappiness": -1}}, "-1 is not within"),
        ({**LEND, "values": {"vm.swappiness": "0xc9"}}, "201 is not within the safe range"),
        ({**LEND, "values": {"vm.swappiness": "0311"}}, "201 is not within the safe range"),
        ({**LEND, "values": {"vm.swappiness": "08"}}, "is not a whole number"),
        ({**LEND, "values": {"vm.overcommit_memory": "0x2"}}, "programs that reserve"),
        ({**LEND, "values": {"vm.overcommit_memory": "02 x"}}, "programs that reserve"),
        ({**LEND, "values": {"net.ipv4.tcp_syncookies": "00"}}, "it weakens security"),
        ({**LEND, "values": {"vm.swappiness": "10\n20"}}, "other than printable ASCII"),
        ({**LEND, "values": {"vm.swappiness": "1\u0660"}}, "other than printable ASCII"),
        ({**LEND, "values": {"kernel.core_pattern": "|/tmp/x"}}, "it makes the kernel run a program"),
        ({**LEND, "values": {"kernel/core_pattern": "|/tmp/x"}}, "it makes the kernel run a program"),
        ({**LEND, "values": {"kernel.modprobe": "/tmp/x"}}, "it makes the kernel run a program"),
        ({**LEND, "values": {"vm.overcommit_memory": 2}}, "programs that reserve"),
        ({**LEND, "values": {"kernel.random.boot_id": "x"}}, "is not in the catalogue"),
        ({**LEND, "values": {"vm.swappiness": 10, "kernel.random.boot_id": "x"}}, "is not in the catalogue"),
        ({**LEND, "values": {"../../etc/passwd": "x"}}, "is not the name of a kernel parameter"),
        ({**LEND, "values": {"/etc/passwd": "x"}}, "is not the name of a kernel parameter"),
        ({**LEND, "values": {"net/../vm/swappiness": 1}}, "is not the name of a kernel parameter"),
        ({**LEND, "values": {"net...vm.swappiness": 1}}, "is not the name of a kernel parameter"),
        ({**LEND, "values": {"vm.swappiness\0": 1}}, "is not the name of a kernel parameter"),
        ({"state": "info", "parameters": ["../x"]}, "is not the name of a kernel parameter"),
        ({"state": "info", "parameters": "vm.swappiness"}, "parameters: "),
        ({"state": "info", "values": {}}, "'values' is not an argument"),
    ],
    ids=str,
)
def test_refuses_in_one_line_and_writes_nothing(kernel: Any, request_: dict[str, Any], message: str) -> None:
    before = kernel.values()
    with pytest.raises(Failure) as failure:
        _gate.handle(request_, "tester")
    assert message in str(failure.value)
    assert "\n" not in str(failure.value)
    assert kernel.values() == before
    assert not kernel.written
    assert _journal.read() is None


def test_another_account_can_neither_renew_nor_end_a_lease(kernel: Any) -> None:
    nonce = _gate.handle(LEND, "tester")["lease"]["nonce"]
    for request in (LEND, {**LEND, "nonce": nonce}, {"state": "restored", "holder": "anna", "nonce": nonce}):
        answer = _gate.handle(request, "mallory")
        assert answer["failed"]
        assert "anna (tester) holds a lease on this host" in answer["msg"]
    assert kernel.get("vm.swappiness") == "10"


def test_info_hides_what_only_root_may_read_and_says_what_is_refused(kernel: Any) -> None:
    secret = kernel.root / "net/ipv4/ipfrag_time_secret"
    secret.write_text("12345\n")
    secret.chmod(0o600)
    answer = _gate.handle({"state": "info", "parameters": ["vm.swappiness", "net.ipv4.ipfrag_time_secret"]}, "tester")
    found = answer["parameters"]
    assert (found["vm.swappiness"]["value"], found["vm.swappiness"]["denied"]) == ("60", False)
    assert found["net.ipv4.ipfrag_time_secret"]["value"] is None
    assert found["net.ipv4.ipfrag_time_secret"]["denied"] is True
    assert "net.ipv4.ipfrag_time_secret is not in the catalogue" in answer["gate_message"]
    assert "12345" not in json.dumps(answer)


def test_without_root_it_is_for_net_alone(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 999)
    with pytest.raises(Failure, match=r"vm.swappiness is not in net"):
        _gate.handle(LEND, "tester")
    assert _gate.handle({**LEND, "values": {"net.core.somaxconn": 512}}, "tester")["changed"]


@as_root
def test_root_can_allow_more_in_a_file(kernel: Any, write_rules: Callable[..., Path]) -> None:
    write_rules('{"allow_unsafe": ["net/ipv4/ip_local_reserved_ports"]}')
    assert _gate.handle({**LEND, "values": {"net.ipv4.ip_local_reserved_ports": "1-9"}}, "tester")["changed"]
    with pytest.raises(Failure, match="not in the catalogue"):
        _gate.handle({**LEND, "values": {"kernel.random.boot_id": "1"}}, "tester")


@as_root
@pytest.mark.parametrize("how", ["others write", "not root's", "link", "open folder", "no JSON", "a list"])
def test_rules_that_may_not_be_roots_are_not_believed(
    kernel: Any, write_rules: Callable[..., Path], tmp_path: Path, how: str
) -> None:
    path = write_rules("[]" if how == "a list" else "{" if how == "no JSON" else '{"allow_unsafe": ["vm.x"]}')
    if how == "others write":
        path.chmod(0o666)
    elif how == "not root's":
        os.chown(path, 65534, 65534)
    elif how == "open folder":
        path.parent.chmod(0o777)
    elif how == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure, match="apply role autotune.kernel.access again"):
        _gate.handle(LEND, "tester")
    assert kernel.get("vm.swappiness") == "60"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        ('{"holder": "ä"}'.encode(), "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"lease": NaN}', "NaN is not a number"),
        (b'{"state": "leased", "state": "present"}', "occurs twice"),
        (b'{"values": {"vm.swappiness": 1, "vm.swappiness": 2}}', "occurs twice"),
        (b"[" * 200_000, "is not JSON"),
        (b'{"lease": ' + b"9" * 100_000 + b"}", "is not JSON"),
        (b" " * 300_000 + b"{}", "longer than 262144 bytes"),
    ],
    ids=["nothing", "no text", "not ASCII", "a list", "NaN", "twice", "twice inside", "deep", "long number", "huge"],
)
def test_what_is_no_request_is_one_line(text: bytes, message: str) -> None:
    with pytest.raises(Failure) as failure:
        _gate.read_request(io.BytesIO(text))
    assert message in str(failure.value)
    assert len(str(failure.value)) < 400


def test_the_process_group_can_be_a_workers_and_no_other_file(kernel: Any) -> None:
    for path, kept in (
        ("/tmp/autotune.abcDEF1234/autotune-process-group", "/tmp/autotune.abcDEF1234/autotune-process-group"),
        ("/tmp/autotune.abcDEF1234/../../etc/shadow", None),
        ("/root/autotune-process-group", None),
    ):
        _gate.handle({**LEND, "process_group": path}, "tester")
        lease = _journal.read()
        assert lease is not None
        assert lease.process_group == kept
        _gate.handle({"state": "restored", "holder": "anna"}, "tester")


def test_a_link_does_not_lead_to_the_process_group_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots/group").write_text("123 456")
    (tmp_path / "mine").symlink_to(tmp_path / "roots")
    assert _process_group._read(str(tmp_path / "roots/group")) is not None
    assert _process_group._read(str(tmp_path / "mine/group")) is None
    (tmp_path / "roots/in").mkdir()
    (tmp_path / "roots/in/group").write_text("123 456")
    assert _process_group._read(str(tmp_path / "roots/in/group")) is not None
    assert _process_group._read(str(tmp_path / "mine/in/group")) is None, "nor does one further up"
    os.link(tmp_path / "roots/group", tmp_path / "roots/second")
    assert _process_group._read(str(tmp_path / "roots/second")) is None


def test_the_log_has_one_plain_line() -> None:
    line = _gate.log_line(
        "tester", {"state": "x\n\x1b[2J", "values": {"a": "b" * 9000}}, {"failed": True, "msg": "n\no"}
    )
    assert line.startswith("tester requested ")
    assert line.isprintable()
    assert len(line) <= 4000


def test_no_key_of_the_callers_terminal_stops_it() -> None:
    """Ctrl-Z stops all that belongs to a terminal, root's processes too: root would wait for its lock."""
    stopping = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    script = (
        "import signal\nfrom {package} import _gate\n_gate.shed_environment()\nprint(open('/proc/self/status').read())"
    )
    code = script.format(package=_gate.__name__.rpartition(".")[0])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    ignored = int(re.findall(r"^SigIgn:\s*(\w+)$", shown.stdout, re.MULTILINE)[0], 16)
    assert {number for number in stopping if ignored >> (number - 1) & 1} == stopping


def test_limits_that_would_kill_the_watchdog_are_lifted_or_it_refuses() -> None:
    script = """
import resource, sys
from ansible_collections.autotune.kernel.plugins.module_utils import _gate
resource.setrlimit(resource.RLIMIT_CPU, (1, 1) if sys.argv[1] == "hard" else (1, resource.RLIM_INFINITY))
try:
    _gate.raise_limits()
except Exception as failure:
    print(type(failure).__name__)
print(resource.getrlimit(resource.RLIMIT_CPU)[0])
"""
    for how in ("soft", "hard"):
        command = [sys.executable, "-c", script, how]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        assert ran.stdout.split() in ([["-1"]] if how == "soft" else [["-1"], ["Failure", "1"]])


def test_root_by_himself_ends_any_lease_of_the_gates_and_no_account_does(kernel: Any) -> None:
    _gate.handle(LEND, "tester")
    with pytest.raises(Failure, match="holder is required"):
        _gate.handle({"state": "restored"}, "tester")
    assert _gate.handle({"state": "restored"}, "root")["verdict"]["verified"]
    assert kernel.get("vm.swappiness") == "60"
