# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Role access on a real host: an account that is not root tunes without become, and all its tricks come to nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
GATE = "/usr/local/libexec/autotune-sysctl"
SUDOERS = "/etc/sudoers.d/autotune-access-tester"
FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
Role = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def role(account: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Role]:
    """The role for the account, by root; keywords are its variables without their prefix."""
    playbook = tmp_path_factory.mktemp("access") / "access.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "lab1", "gather_facts": False, "roles": ["autotune.kernel.access"]}]))

    def apply(*arguments: str, check: bool = True, **variables: Any) -> subprocess.CompletedProcess[str]:
        given = {f"access_{name}": value for name, value in {"user": "tester", **variables}.items()}
        root = {"ansible_user": "root", "ansible_pipelining": True}
        ran: subprocess.CompletedProcess[str] = account.play(
            str(playbook), "-e", json.dumps({**root, **given}), *arguments, check=check
        )
        return ran

    yield apply
    apply(state="absent", check=False)


def changes(ran: subprocess.CompletedProcess[str]) -> int:
    recap = re.search(r"lab1 .*changed=(\d+)", ran.stdout)
    assert recap is not None
    return int(recap[1])


def installed(account: Any) -> str:
    shown: str = account.root(
        f"ls -d {GATE}* /etc/autotune /etc/sudoers.d/autotune* /etc/tmpfiles.d/autotune* 2>/dev/null", check=False
    )
    return shown


@pytest.fixture(scope="module")
def gate(account: Any, role: Role) -> Callable[..., dict[str, Any]]:
    """The role applied, and a way to ask the gate as the account by hand."""
    role()

    def ask(request: dict[str, Any] | bytes, *enter: str, **environment: str) -> dict[str, Any]:
        text = request if isinstance(request, bytes) else json.dumps(request).encode()
        ran = account.run(*enter, "sudo", "-n", GATE, stdin=text, **environment)
        assert ran.returncode == 0, ran.stderr
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer

    return ask


def as_root(account: Any, **arguments: Any) -> dict[str, Any]:
    """What the module sysctl answers to root, who comes over SSH."""
    command = [str(Path(sys.executable).with_name("ansible")), "-i", str(account.lab.inventory), "lab1"]
    command += ["-m", "autotune.kernel.sysctl", "-a", json.dumps(arguments)]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(ran.stdout.partition("=> ")[2])
    return answer


def lend(value: int, **more: Any) -> dict[str, Any]:
    return {"state": "leased", "holder": "test", "lease": 600, "values": {FIN_TIMEOUT: value}, **more}


RESTORE = {"state": "restored", "holder": "test"}


def test_a_folder_that_others_can_write_to_is_refused_and_nothing_installed(account: Any, role: Role) -> None:
    account.root("mkdir -p /usr/local/libexec && chmod 777 /usr/local/libexec")
    ran = role(check=False)
    assert ran.returncode != 0
    assert "/usr/local/libexec is writable for accounts other than root" in " ".join(ran.stdout.split())
    assert installed(account) == ""
    account.root("rmdir /usr/local/libexec")


def test_a_name_that_sudoers_would_take_for_more_is_refused(account: Any, role: Role) -> None:
    ran = role(check=False, user="tester ALL=(ALL) ALL #")
    assert ran.returncode != 0
    assert "must be the name of an account" in " ".join(ran.stdout.split())
    assert installed(account) == ""


def test_check_mode_installs_nothing(account: Any, role: Role) -> None:
    assert changes(role("--check", "--diff")) >= 4
    assert installed(account) == ""


def test_what_is_installed_is_roots_alone_and_one_exact_line(account: Any, gate: Any, tmp_path: Path) -> None:
    shown = account.root(f"stat -c '%n %U:%G %a' {GATE} {SUDOERS} /etc/autotune/access.json; visudo -c")
    assert f"{GATE} root:root 755" in shown
    assert f"{SUDOERS} root:root 440" in shown
    rules = [line for line in account.root(f"cat {SUDOERS}").splitlines() if not line.startswith(("#", "Defaults"))]
    assert rules == [f'tester ALL=(root) NOPASSWD: {GATE} ""']
    # Whoever builds it from the same sources gets the same file.
    built = subprocess.run(
        [sys.executable, ROOT / "roles/access/files/pack.py", tmp_path / "built", "/usr/bin/python3"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert hashlib.sha256((tmp_path / "built").read_bytes()).hexdigest() == built
    assert account.root(f"sha256sum {GATE}").split()[0] == built


def test_a_run_without_become_just_works(
    account: Any, gate: Any, write_study: Callable[..., Path], tmp_path: Path
) -> None:
    before = account.lab.sysctl("lab1", FIN_TIMEOUT)
    given = ["-e", f"study={write_study()}", "-e", f"output={tmp_path / 'learned'}"]
    ran = account.play(str(ROOT / "playbooks/tune.yml"), *given)
    result = json.loads((tmp_path / "learned/sensor/result.json").read_text())
    assert result["verdict"] == "improved", ran.stdout
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == before
    assert account.root("cat /run/autotune/lease.json", check=False) == ""


def test_a_study_that_asks_for_more_is_told_so_before_anything_is_written(
    account: Any, gate: Any, write_study: Callable[..., Path], tmp_path: Path
) -> None:
    space = [{"param": "kernel.core_pattern", "choices": ["core", "|/tmp/x"]}]
    study = write_study(action_space=space, allow_unsafe=["kernel.core_pattern"])
    given = ["-e", f"study={study}", "-e", f"output={tmp_path / 'learned'}"]
    ran = account.play(str(ROOT / "playbooks/tune.yml"), *given, check=False)
    shown = " ".join(ran.stdout.split())
    assert ran.returncode == 2
    assert "kernel.core_pattern is denied because it makes the kernel run a program" in shown
    assert "access_allow_unsafe" in shown
    assert "nothing was written" in shown


@pytest.mark.parametrize(
    "command",
    [
        ["sudo", "-n", GATE, "--help"],
        ["sudo", "-n", GATE, ""],
        ["sudo", "-n", "-E", GATE],
        ["sudo", "-n", "LD_PRELOAD=/tmp/x.so", GATE],
        ["sudo", "-n", "/usr/local/libexec/../libexec/../bin/sh"],
        ["sudo", "-n", "-u", "daemon", GATE],
        ["sudo", "-n", "/usr/bin/python3", "-IS", GATE],
        ["sudo", "-n", "-s"],
        ["sudo", "-n", "-e", "/etc/passwd"],
    ],
    ids=lambda command: " ".join(command[2:]),
)
def test_sudo_lets_him_run_it_in_one_way_alone(account: Any, gate: Any, command: list[str]) -> None:
    ran = account.run(*command, stdin=json.dumps(lend(33)).encode())
    assert ran.returncode != 0
    assert ran.stdout == b""
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"


def test_nothing_in_his_environment_or_folder_reaches_the_gate(account: Any, gate: Any) -> None:
    # Even where somebody else's rule lets these through.
    keep = "PYTHONPATH PYTHONSTARTUP PYTHONHOME PYTHONINSPECT LD_PRELOAD LD_LIBRARY_PATH HOME TMPDIR"
    account.root(f"""
        echo 'Defaults:tester env_keep += "{keep}", !env_reset, setenv' > /etc/sudoers.d/zz-lax
        mkdir -p /tmp/evil && cd /tmp/evil
        for name in json os syslog sitecustomize usercustomize zipimport ansible_collections startup; do
            echo 'open("/tmp/evil/ran", "w")' > $name.py
        done
        chmod -R 777 /tmp/evil""")
    enter = ["env", "-C", "/tmp/evil"]
    variables = {
        "PYTHONPATH": "/tmp/evil",
        "PYTHONSTARTUP": "/tmp/evil/startup.py",
        "PYTHONINSPECT": "1",
        "PYTHONHOME": "/tmp/evil",
        "HOME": "/tmp/evil",
    }
    try:
        assert gate({"state": "info", "parameters": []}, *enter, **variables)["effective_uid"] == 0
        shown = account.root(f"sudo -l -U tester; sudo -u tester sudo -n -l {GATE}", check=False)
        assert GATE in shown
    finally:
        ran = account.root("ls /tmp/evil/ran 2>/dev/null; rm -rf /tmp/evil /etc/sudoers.d/zz-lax", check=False)
    assert ran == ""


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\x00",
        b"{" * 100_000,
        b"x" * 50_000_000,
        json.dumps(lend(10**6)).encode(),
        b'{"state": "present"}',
    ],
    ids=["nothing", "no text", "deep", "50 MB", "beyond the range", "to stay"],
)
def test_bad_requests_are_refused_in_a_line(account: Any, gate: Any, text: bytes) -> None:
    answer = gate(text)
    assert answer["failed"]
    assert "\n" not in answer["msg"]
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"


def test_he_can_neither_change_the_gate_nor_the_journal_nor_end_the_watchdog(account: Any, gate: Any) -> None:
    gate(lend(33, lease=600))
    for command in (
        f"echo x >> {GATE}",
        f"mv {GATE} /tmp/x",
        f"ln -sf /bin/sh {GATE}",
        "echo '{}' > /run/autotune/lease.json",
        "rm -f /run/autotune/lease.json && test ! -e /run/autotune/lease.json",
        "echo x > /etc/autotune/access.json",
        "kill -KILL $(cat /proc/[0-9]*/stat 2>/dev/null | grep -F '(autotune-lease)' | cut -d' ' -f1)",
    ):
        assert account.run("sh", "-c", command).returncode != 0, command
    account.root(r"""sed -i 's/"deadline": [0-9.]*/"deadline": 1.0/' /run/autotune/lease.json""")  # its time is up
    until = time.monotonic() + 180
    while account.lab.sysctl("lab1", FIN_TIMEOUT) != "60" and time.monotonic() < until:
        time.sleep(0.1)
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"
    assert json.loads(account.root("cat /run/autotune/verdict.json"))["verified"]


def test_limits_on_his_session_do_not_keep_his_values_in_place(account: Any, gate: Any) -> None:
    answer = gate(lend(33), "prlimit", "--cpu=1", "--nofile=20", "--fsize=1000")
    if answer.get("failed"):  # root in this container may not lift limits
        assert "ulimit" in answer["msg"]
        assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"
        return
    watchdog = account.root("cat /proc/[0-9]*/stat 2>/dev/null | grep -F '(autotune-lease)' | cut -d' ' -f1").split()[0]
    limits = account.root(f"cat /proc/{watchdog}/limits")
    assert re.search(r"Max cpu time +unlimited", limits)
    gate(RESTORE)


def test_calls_at_the_same_time_wait_for_each_other(account: Any, gate: Any) -> None:
    values = list(range(30, 36))
    with ThreadPoolExecutor(len(values)) as pool:
        answers = list(pool.map(lambda value: gate(lend(value)), values))
    assert all(answer["applied"] == {FIN_TIMEOUT: str(value)} for answer, value in zip(answers, values, strict=True))
    assert len({answer["lease"]["nonce"] for answer in answers}) == 1
    assert gate(RESTORE)["verdict"]["verified"]
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"


def test_roots_own_lease_is_not_his_to_end(account: Any, gate: Any) -> None:
    account.root(f"echo '{json.dumps(lend(44))}' | {GATE}")
    for request in (lend(33), RESTORE, {**RESTORE, "holder": "test (root)"}):
        assert "test (root) holds a lease on this host" in gate(request)["msg"]
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "44"
    account.root(f"echo '{json.dumps(RESTORE)}' | {GATE}")
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"


def test_the_role_puts_right_what_was_replaced_and_changes_nothing_else(account: Any, role: Role, gate: Any) -> None:
    account.root(f"echo '#!/bin/sh' > {GATE}; chmod 777 {GATE}")
    assert changes(role()) == 1
    assert not gate({"state": "info", "parameters": []}).get("failed")


def test_removed_means_that_no_trace_is_left_and_what_was_lent_is_back(account: Any, role: Role, gate: Any) -> None:
    gate(lend(33))
    role(state="absent")
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"
    assert installed(account) == ""
    assert account.run("sudo", "-n", GATE).returncode != 0


@pytest.mark.slow
def test_for_the_network_alone_one_capability_is_enough(account: Any, role: Role) -> None:
    role(scope="network")

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(account.run("sudo", "-n", GATE, stdin=json.dumps(request).encode()).stdout)
        return answer

    assert ask(lend(33))["applied"] == {FIN_TIMEOUT: "33"}
    watchdog = account.root("pgrep -u autotune").split()[0]
    status = account.root(f"cat /proc/{watchdog}/status")
    for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        assert f"Cap{kind}:\t0000000000001000" in status  # CAP_NET_ADMIN
    assert "NoNewPrivs:\t1" in status
    assert "vm.swappiness is not in net" in ask(lend(33, values={"vm.swappiness": 10}))["msg"]
    assert ask(RESTORE)["verdict"]["verified"]
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"

    # Root's state is where only root can write, whatever has become of the account.
    shown = account.root("stat -c '%n %U:%G %a' /run/autotune /run/autotune/lock /run/autotune/network")
    assert shown.splitlines() == [
        "/run/autotune root:root 755",
        "/run/autotune/lock root:autotune 640",
        "/run/autotune/network autotune:autotune 755",
    ]
    as_it = "setpriv --reuid=autotune --regid=autotune --clear-groups"
    for name in ("new", "lease.json", "watchdog.pyz", "lock"):
        shown = account.root(f"{as_it} sh -c ': >> /run/autotune/{name}' 2>&1", check=False)
        assert "Permission denied" in shown, name

    # There is one tuner at a time, and root can end what the account has on loan.
    assert ask(lend(33))["applied"] == {FIN_TIMEOUT: "33"}
    assert (
        "test (tester) holds a lease on this host" in as_root(account, state="present", values={FIN_TIMEOUT: 44})["msg"]
    )
    assert as_root(account, state="restored")["verdict"]["verified"]
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"
    assert as_root(account, state="leased", holder="root", values={FIN_TIMEOUT: 44})["applied"] == {FIN_TIMEOUT: "44"}
    assert "root holds a lease on this host" in ask(lend(33))["msg"]
    assert as_root(account, state="restored", holder="root")["verdict"]["verified"]

    # Its watchdog may go with its session: then its next contact puts the values back, or root.
    ask(lend(33))
    account.root("pkill -KILL -u autotune")
    expired = "import json; p = '/run/autotune/network/lease.json'; d = json.load(open(p)); d['deadline'] = 1.0; "
    account.lab.run("lab1", "python3", "-c", f"{expired}open(p, 'w').write(json.dumps(d))")
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "33"
    assert "its originals are not restored yet" in as_root(account, state="present", values={FIN_TIMEOUT: 44})["msg"]
    ask(lend(34))

    role(state="absent")
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == "60"
    assert account.root("ls -d /run/autotune/network; getent passwd autotune", check=False) == ""
    assert account.root("stat -c '%U:%G %a' /run/autotune/lock").split() == ["root:root", "600"]


def test_an_account_with_that_capability_can_do_without_the_gate(account: Any) -> None:
    """What CAP_NET_ADMIN alone can write: everything of net that root can, and next to nothing else."""
    look = """
import os
for folder, dummy, names in os.walk("/proc/sys"):
    for name in names:
        try:
            os.close(os.open(os.path.join(folder, name), os.O_WRONLY))
        except OSError:
            continue
        print(os.path.join(folder, name)[10:])
"""
    one = ["--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin"]
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    python = ["/usr/bin/python3", "-c", look]
    root = set(account.lab.run("lab1", *python).stdout.split())
    capable = set(account.lab.run("lab1", *drop, *one, *python).stdout.split())
    nobody = set(account.lab.run("lab1", *drop, *python).stdout.split())
    of_net = {name for name in root if name.startswith("net/")}
    assert len(of_net) > 100
    assert {name for name in capable - nobody if not name.startswith("net/")} == set()
    assert of_net <= capable
