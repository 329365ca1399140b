"""The module sysctl on the real kernel, in namespaces of its own.

net.* is theirs, and so are /run, /etc/sysctl.d and /var/lib: nothing lands on the machine.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _watchdog_unit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces with settings of their own need root")

COLLECTIONS = Path(__file__).parents[2] / "playbooks" / "collections"
NAMESPACES = """
set -e
mount --make-rprivate /
for folder in /run /etc/sysctl.d /var/lib; do mount -t tmpfs tmpfs $folder; done
ip link set lo up
echo ready
exec sleep 3600
"""
PATIENCE = (
    120.0  # seconds until a test that waits for ever is one that fails; how soon things come, ./dev soak measures
)
EXPIRE = """
import json, os
path = "/run/autotune/lease.json"
with open(path) as file:
    lease = json.load(file)
with open(path + ".expired", "w") as file:
    json.dump({**lease, "deadline": 1.0}, file)
os.chmod(path + ".expired", os.stat(path).st_mode & 0o7777)
os.rename(path + ".expired", path)
"""
CALL = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module("ansible_collections.autotune.kernel.plugins.modules." + sys.argv[1])
with patch_module_args(json.load(sys.stdin)):
    module.main()
"""
FIN_TIMEOUT, RMEM, SYN_RETRIES = "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syn_retries"
VALUES = {FIN_TIMEOUT: 17, RMEM: [4096, 200000, 7000000]}
MANY = [
    "net.core.somaxconn",
    "net.ipv4.igmp_max_memberships",
    "net.ipv4.ip_default_ttl",
    "net.ipv4.ipfrag_time",
    *(f"net.ipv4.tcp_{name}" for name in ("fin_timeout", "syn_retries", "synack_retries", "retries1", "retries2")),
    *(f"net.ipv4.tcp_{name}" for name in ("keepalive_intvl", "keepalive_probes", "keepalive_time", "reordering")),
    *(f"net.ipv4.tcp_{name}" for name in ("max_syn_backlog", "limit_output_bytes", "base_mss", "probe_interval")),
    *(f"net.ipv4.tcp_{name}" for name in ("orphan_retries", "pacing_ss_ratio", "probe_threshold")),
]

MOVING = {"net.netfilter.nf_conntrack_count"}
# ip(8) refuses some of the names that the kernel takes.
RENAMED = """
import subprocess, sys
subprocess.run(["ip", "link", "add", "plain", "type", "veth", "peer", "name", "peer" + sys.argv[1][:8]], check=True)
import fcntl, socket, struct
request = struct.pack("16s16s", b"plain", bytes.fromhex(sys.argv[1]))
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8923, request)  # SIOCSIFNAME
"""
REMOVED = """
import subprocess, sys
subprocess.run(["ip", "link", "delete", "peer" + sys.argv[1][:8]], check=True)
"""


class Host:
    """A process in namespaces of its own, which other processes enter."""

    def __init__(self, keeper: subprocess.Popen[str]) -> None:
        self.enter = ["nsenter", f"--target={keeper.pid}", "--net", "--mount"]

    def run(self, *command: str, check: bool = True, **keywords: Any) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "PYTHONPATH": str(COLLECTIONS),
        }
        keywords = {
            "timeout": PATIENCE,
            "env": environment,
            "cwd": "/",
            "capture_output": True,
            "text": True,
            **keywords,
        }
        result = subprocess.run([*self.enter, *command], check=False, **keywords)
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def call(self, module: str = "sysctl", **arguments: Any) -> dict[str, Any]:
        """A module's result, without Ansible around it."""
        completed = self.run(sys.executable, "-c", CALL, module, input=json.dumps(arguments), check=False)
        assert completed.stdout, completed.stderr
        result: dict[str, Any] = json.loads(completed.stdout)
        return result

    def value(self, parameter: str) -> str:
        return " ".join(self.run("sysctl", "-n", parameter).stdout.split())

    def values(self, *parameters: str) -> dict[str, str]:
        return {parameter: self.value(parameter) for parameter in parameters}

    def expire(self) -> None:
        """The lease's time is up, as if the machine had slept through the rest of it."""
        self.run(sys.executable, "-c", EXPIRE)

    def kill_watchdogs(self) -> None:
        for pid in self.watchdogs():
            # Its namespaces disappear from /proc before its lock is released.
            handle = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            assert select.select([handle], [], [], PATIENCE)[0]
            os.close(handle)

    def watchdogs(self) -> list[int]:
        """The processes named as the watchdog that live in these namespaces."""
        mine = self.run("readlink", "/proc/self/ns/net").stdout.strip()
        return [
            int(comm.parent.name)
            for comm in Path("/proc").glob("[0-9]*/comm")
            if _text(comm) == "autotune-lease" and _link(comm.parent / "ns/net") == mine
        ]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()  # any process may have any bytes for a name
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"not within {PATIENCE} seconds"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Host]:
    command = ["unshare", "--net", "--mount", "sh", "-c", NAMESPACES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "ready\n"
        try:
            yield Host(keeper)
        finally:
            keeper.kill()


@pytest.fixture
def host(namespaces: Host) -> Iterator[Host]:
    """The namespaces, checked to be at the end as they were before."""
    found = namespaces.values(*MANY, RMEM)
    yield namespaces
    namespaces.call(state="restored")
    assert namespaces.values(*MANY, RMEM) == found
    wait_until(lambda: not namespaces.watchdogs())


def test_sets_many_reads_them_back_and_does_nothing_the_second_time(host: Host) -> None:
    values = {parameter: int(host.value(parameter)) + 1 for parameter in MANY}
    result = host.call(values=values, persist="90-many")
    assert result["changed_keys"] == MANY
    assert host.values(*MANY) == {parameter: str(value) for parameter, value in values.items()}
    assert not host.call(values=values, persist="90-many")["changed"]
    assert host.call(state="restored", persist="90-many")["changed_keys"] == MANY


def test_check_mode_foretells_and_changes_nothing(host: Host) -> None:
    found = host.value(FIN_TIMEOUT)
    result = host.call(values={FIN_TIMEOUT: 17}, persist="90-x", _ansible_check_mode=True, _ansible_diff=True)
    assert result["changed"]
    assert (result["before"], result["applied"]) == ({FIN_TIMEOUT: found}, {FIN_TIMEOUT: "17"})
    assert f"{FIN_TIMEOUT} = 17" in result["diff"][1]["after"]
    assert host.value(FIN_TIMEOUT) == found
    assert host.run("ls", "/etc/sysctl.d", "/var/lib").stdout.split() == ["/etc/sysctl.d:", "/var/lib:"]


@pytest.mark.parametrize("state", ["present", "leased"])
def test_one_refused_value_puts_all_back(state: str, host: Host) -> None:
    found = host.values(FIN_TIMEOUT, RMEM)
    result = host.call(values={**VALUES, SYN_RETRIES: 100000}, state=state, holder="anna")
    assert f"{SYN_RETRIES}: the kernel refused '100000' (Invalid argument)" in result["msg"]
    assert "everything was restored" in result["msg"]
    assert result["restored"]
    assert host.values(FIN_TIMEOUT, RMEM) == found


@pytest.mark.parametrize("state", ["present", "leased"])
def test_a_value_that_this_machine_does_not_allow_is_refused_before_writing(state: str, host: Host) -> None:
    found = host.values(FIN_TIMEOUT, RMEM)
    beyond = 2**35  # more than the kernel itself takes
    result = host.call(values={FIN_TIMEOUT: 17, RMEM: [4096, 131072, beyond]}, state=state, holder="anna")
    assert f"{RMEM}[2]: {beyond} is not within the safe range" in result["msg"]
    assert f"add {RMEM} to allow_unsafe" in result["msg"]
    assert result["parameters"][RMEM]["status"] == "denied"
    assert host.values(FIN_TIMEOUT, RMEM) == found


def test_congestion_control_that_is_not_allowed_says_what_is(host: Host) -> None:
    allowed = host.value("net.ipv4.tcp_allowed_congestion_control").split()
    others = set(host.value("net.ipv4.tcp_available_congestion_control").split()) - set(allowed)
    if not others:
        pytest.skip("this kernel allows every congestion control that it has")
    result = host.call(values={FIN_TIMEOUT: 17, "net.ipv4.tcp_congestion_control": others.pop()})
    assert f"tcp_allowed_congestion_control is '{' '.join(allowed)}'" in result["msg"]
    assert result["parameters"]["net.ipv4.tcp_congestion_control"]["status"] == "rejected"


def test_what_a_namespace_has_read_only_is_refused_before_writing(host: Host) -> None:
    result = host.call(values={FIN_TIMEOUT: 17, "net.core.rmem_max": 1000000})
    if result["parameters"]["net.core.rmem_max"]["status"] == "missing":
        pytest.skip("this kernel does not show net.core.rmem_max in a namespace")
    assert "net.core.rmem_max cannot be written" in result["msg"]
    assert result["parameters"]["net.core.rmem_max"]["status"] == "read_only"


def test_a_value_that_the_kernel_makes_another_of_is_told(host: Host) -> None:
    parameter = "net.ipv4.icmp_ratelimit"  # milliseconds, kept in ticks: 1004 where there are 250 a second
    found = host.value(parameter)
    result = host.call(values={parameter: "1001"}, state="leased", holder="anna")
    kept = host.value(parameter)
    assert result["applied"] == {parameter: kept}
    assert result["parameters"][parameter]["status"] == ("applied" if kept == "1001" else "clamped")
    result = host.call(state="restored")
    assert result["verdict"]["interference"] == {}
    assert result["applied"] == {parameter: found}
    assert host.value(parameter) == found


PORTS, FASTOPEN = "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_fastopen"
SPELLINGS: list[dict[str, Any]] = [
    {
        FIN_TIMEOUT: "021",
        FASTOPEN: "0x403",
        "net.ipv4.tcp_syncookies": "02",
        RMEM: "4096\t0x10000\t07777777",
        PORTS: "8081,0x1f90,5030",
        "net.ipv6.icmp.ratemask": "0,1,3-126,127",
    },
    {FIN_TIMEOUT: "0x11", FASTOPEN: "02003", PORTS: [5030, 8080]},
    {FASTOPEN: "0x0", PORTS: "5,5,30000-32767"},
    {PORTS: ""},
]


@pytest.mark.parametrize("values", SPELLINGS, ids=str)
def test_what_is_foretold_is_what_the_kernel_keeps(values: dict[str, Any], host: Host) -> None:
    """Check mode, the run and the run after it agree, however a value is spelt."""
    arguments = {"values": values, "persist": "90-spelling"}
    foretold = host.call(**arguments, _ansible_check_mode=True)
    try:
        result = host.call(**arguments)
        assert result["applied"] == foretold["applied"] == host.values(*values)
        assert result["changed_keys"] == foretold["changed_keys"]
        assert {change["status"] for change in result["parameters"].values()} <= {"applied", "unchanged"}
        assert not host.call(**arguments, _ansible_check_mode=True)["changed"]
        assert not host.call(**arguments)["changed"]
    finally:
        undone = host.call(state="restored", persist="90-spelling")
    assert "another process" not in json.dumps(undone.get("warnings", []))


def test_the_kind_of_a_parameter_does_not_follow_from_its_present_value(host: Host) -> None:
    """A single port looks like a whole number, and no port like text."""
    found = host.value(PORTS)
    for value in ("5030", "5030,8080", "30000-32767", "", "5030", "1-2"):
        result = host.call(values={PORTS: value}, state="leased", holder="anna")
        assert result.get("applied") == {PORTS: value}, result
    assert "takes numbers and ranges, such as 5030,8080-8089" in host.call(values={PORTS: "9-3"}, holder="anna")["msg"]
    assert host.call(state="restored")["applied"] == {PORTS: found}


QUANTITIES = {
    "net.ipv4.neigh.lo.unres_qlen": "50",
    "net.ipv4.neigh.lo.base_reachable_time": "20",
    "net.ipv4.neigh.lo.retrans_time": "80",
    "net.ipv6.neigh.lo.unres_qlen": "50",
    "net.ipv6.neigh.lo.base_reachable_time": "20",
    "net.ipv6.route.gc_min_interval": "3",
}


@pytest.mark.parametrize("wanted", [{"net.ipv4.neigh.lo.unres_qlen": "50"}, QUANTITIES], ids=["one", "all"])
def test_a_quantity_in_two_units_comes_back_exactly(wanted: dict[str, str], host: Host) -> None:
    for family in ("ipv4", "ipv6"):
        host.run("sysctl", "-w", f"net.{family}.neigh.lo.base_reachable_time_ms=30500")
    found = everything(host)
    result = host.call(values=wanted, state="leased", holder="anna")
    assert result["applied"] == wanted
    assert host.call(state="restored")["verdict"]["verified"]
    assert everything(host) == found


@pytest.fixture
def interfaces(host: Host) -> Iterator[Host]:
    """Two interfaces that have values of their own, one of them with a dot in its name."""
    host.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1.7")
    for setting in (
        "net.ipv4.conf.v0.forwarding=1",
        "net.ipv4.conf.all.accept_redirects=1",
        "net.ipv6.conf.v0.ignore_routes_with_linkdown=1",
        "net.ipv4.conf.v0.arp_ignore=2",
    ):
        host.run("sysctl", "-w", setting)
    yield host
    host.run("ip", "link", "delete", "v0")


SPREADING = {
    "net.ipv4.conf.all.forwarding": "1",
    "net.ipv4.conf.default.arp_ignore": "1",
    "net.ipv4.conf.default.rp_filter": "2",
    "net.ipv6.conf.all.ignore_routes_with_linkdown": "1",
}


@pytest.mark.parametrize("wanted", [{"net.ipv4.ip_forward": "1"}, SPREADING], ids=["ip_forward", "others"])
@pytest.mark.parametrize("ending", ["restored", "run out", "present"])
def test_what_all_and_default_spread_to_comes_back(ending: str, wanted: dict[str, str], interfaces: Host) -> None:
    found = everything(interfaces)
    lent = interfaces.call(
        values=wanted, allow_unsafe=list(wanted), holder="anna", state="leased", lease=1 if ending == "run out" else 60
    )
    assert lent["changed_keys"] == list(wanted)
    if ending == "restored":
        assert interfaces.call(state="restored")["verdict"]["verified"]
    elif ending == "present":  # keeps other values, so what was lent is put back beside them
        kept = interfaces.call(values={FIN_TIMEOUT: found[FIN_TIMEOUT]}, holder="anna")
        assert not kept.get("failed"), kept
    wait_until(lambda: everything(interfaces) == found)


def test_a_roll_back_brings_back_what_changed_besides(interfaces: Host) -> None:
    found = everything(interfaces)
    wanted = {**SPREADING, **QUANTITIES}
    assert interfaces.call(values=wanted, allow_unsafe=list(wanted), persist="90-spread")["applied"] == wanted
    interfaces.call(state="restored", persist="90-spread")
    assert everything(interfaces) == found


def test_an_interface_keeps_what_was_asked_for_it_beside_all(interfaces: Host) -> None:
    found = everything(interfaces)
    wanted = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/v1.7/forwarding": "0", "net.ipv4.conf.lo.forwarding": "1"}
    result = interfaces.call(values=wanted, allow_unsafe=list(wanted), state="leased", holder="anna")
    assert result["applied"] == wanted
    assert interfaces.call(state="restored")["verdict"]["verified"]
    assert everything(interfaces) == found


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("net.ipv6.conf.all.disable_ipv6", "removes IPv6 addresses and routes"),
        ("net.ipv6.conf.lo.disable_ipv6", "removes IPv6 addresses and routes"),
        ("net.ipv6.conf.all.forwarding", "removes default routes"),
    ],
)
def test_what_cannot_be_undone_is_not_lent(parameter: str, reason: str, host: Host) -> None:
    found, addresses = everything(host), host.run("ip", "-6", "address").stdout
    arguments = {"allow_unsafe": [parameter], "state": "leased", "holder": "anna"}
    for check in (True, False):
        result = host.call(values={FIN_TIMEOUT: 17, parameter: 1}, **arguments, _ansible_check_mode=check)
        assert "Nothing was written" in result["msg"]
        assert f"{parameter} cannot be leased, as it could not be undone" in result["msg"]
        assert reason in result["msg"]
    assert everything(host) == found
    assert host.run("ip", "-6", "address").stdout == addresses
    assert host.call(values={parameter: 0}, **arguments)["changed_keys"] == [], "it has that value already"


def everything(host: Host) -> dict[str, str]:
    """Every net parameter of the namespace that does not move by itself."""
    lines = host.run("sysctl", "--all", "--pattern", r"^net\.(ipv|core|mptcp)", check=False).stdout.splitlines()
    shown = dict(line.split(" =", 1) for line in lines)
    return {name: " ".join(value.split()) for name, value in shown.items() if name not in MOVING}


def test_a_foreign_name_does_not_break_the_facts(host: Host) -> None:
    names = [b"lan#20", b"wg~0", "süd0".encode(), b"x(1)", b"b\xff", b"a*b"]
    for name in names:
        host.run("python3", "-c", RENAMED, name.hex())
    try:
        facts = host.call("sysctl_info")
        for name in ("lan#20", "wg~0", "süd0", "x(1)"):
            assert facts["parameters"][f"net.ipv4.conf.{name}.rp_filter"]["value"] is not None
        assert "names are not supported" in json.dumps(facts["warnings"])
        assert "net.ipv4.tcp_rmem" in host.call("sysctl_info", catalogue=True)["parameters"]
        parameter = "net.ipv4.neigh.x(1).gc_stale_time"
        assert host.call(values={parameter: 77}, state="leased", holder="anna")["applied"] == {parameter: "77"}
        assert host.call(state="restored")["verdict"]["verified"]
    finally:
        for name in names:
            host.run("python3", "-c", REMOVED, name.hex())


def test_an_interface_with_a_dot_in_its_name(host: Host) -> None:
    host.run("ip", "link", "add", "v0.1", "type", "veth", "peer", "name", "v1.1")
    parameter = "net/ipv4/neigh/v0.1/gc_stale_time"
    assert host.call(values={parameter: 77}, state="leased", holder="anna")["applied"] == {parameter: "77"}
    host.run("ip", "link", "delete", "v0.1")
    assert host.call(state="restored")["verdict"]["missing"] == [parameter]


def test_a_lease_that_runs_out_is_undone_by_the_host_itself(host: Host) -> None:
    found = host.values(FIN_TIMEOUT, RMEM)
    lent = host.call(values=VALUES, state="leased", holder="anna", lease=3)
    lease = lent["lease"]
    assert lent["applied"][FIN_TIMEOUT] == "17"
    wait_until(lambda: host.values(FIN_TIMEOUT, RMEM) == found)
    wait_until(lambda: not host.watchdogs())
    verdict = host.call("sysctl_info", parameters=[])["verdict"]
    assert (verdict["nonce"], verdict["verified"], verdict["mismatches"]) == (lease["nonce"], True, [])
    assert sorted(verdict["restored"]) == sorted(VALUES)
    assert host.call("sysctl_info", parameters=[])["lease"] is None


def test_a_benchmark_that_was_left_running_ends_with_the_lease(host: Host, tmp_path: Path) -> None:
    """And so does a daemon of it, which has a process group of its own."""
    found, daemon = host.value(FIN_TIMEOUT), tmp_path / "daemon"
    command = f"setsid sh -c 'echo $$ > {daemon}; exec sleep 300' & sleep 300 & sleep 300; :"
    marked = {**os.environ, "AUTOTUNE_BENCHMARK": str(tmp_path)}
    with subprocess.Popen([*host.enter, "setsid", "sh", "-c", command], env=marked) as benchmark:
        wait_until(lambda: os.getsid(benchmark.pid) == benchmark.pid and daemon.exists())
        started = Path(f"/proc/{benchmark.pid}/stat").read_text().rpartition(")")[2].split()[19]
        (tmp_path / "group").write_text(f"{benchmark.pid} {started}\n")
        lease = {"state": "leased", "holder": "anna", "lease": 1, "process_group": str(tmp_path / "group")}
        host.call(values={FIN_TIMEOUT: 17}, **lease)
        assert benchmark.wait(PATIENCE) == -9
    wait_until(lambda: host.value(FIN_TIMEOUT) == found)
    assert host.call("sysctl_info", parameters=[])["verdict"]["processes_ended"] >= 3
    # After the values, and then somebody has to read how it ended.
    wait_until(lambda: not _text(Path(f"/proc/{daemon.read_text().strip()}/cmdline")))


@pytest.fixture
def linked(host: Host) -> Iterator[Host]:
    """/var/lib/autotune and /var/lib/home lead elsewhere, as /var and /home do on hosts whose disk became too small."""
    host.run("sh", "-c", "cd /var/lib && chmod 755 . && mkdir state other && ln -s ../lib/state autotune")
    host.run("ln", "-s", "/var/lib/other", "/var/lib/home")
    yield host
    host.run("sh", "-c", "cd /var/lib && chmod 1777 . && rm -rf autotune home state other")


def test_links_that_only_root_can_have_made_are_followed(linked: Host) -> None:
    result = linked.call(values={FIN_TIMEOUT: 17}, persist="90-x")
    assert result.get("changed"), result
    assert linked.run("ls", "/var/lib/state").stdout == "90-x.json\n"
    assert linked.call(state="restored", persist="90-x")["changed"]
    linked.run("chown", "999", "/var/lib/state")
    linked.run("touch", "/var/lib/state/90-x.json")
    refused = linked.call(values={FIN_TIMEOUT: 17}, persist="90-x")["msg"]
    assert "it belongs to user id 999: '/var/lib/state'" in refused
    linked.run("rm", "/var/lib/state/90-x.json")


def test_a_benchmark_behind_such_a_link_ends_too(linked: Host) -> None:
    started = "cut -d' ' -f22 /proc/$$/stat"
    command = f'echo "$$ $({started})" > /var/lib/home/group; exec sleep 300'
    with subprocess.Popen([*linked.enter, "setsid", "sh", "-c", command]) as benchmark:
        wait_until(lambda: linked.run("test", "-s", "/var/lib/other/group", check=False).returncode == 0)
        lent = {"state": "leased", "holder": "anna", "process_group": "/var/lib/home/group"}
        linked.call(values={FIN_TIMEOUT: 17}, **lent)
        assert linked.call(state="restored")["verdict"]["processes_ended"] == 1
        assert benchmark.wait(PATIENCE) == -9


@pytest.mark.parametrize("state", ["leased", "present"])
def test_a_call_that_comes_after_its_lease_is_refused(state: str, host: Host) -> None:
    found = host.value(FIN_TIMEOUT)
    lease = host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=1)["lease"]
    wait_until(lambda: host.value(FIN_TIMEOUT) == found)
    late = host.call(values={FIN_TIMEOUT: 18}, state=state, holder="anna", nonce=lease["nonce"])
    assert late["failed"]
    assert late["expired"]
    assert "has ended (the host restored and verified its original values at" in late["msg"]
    assert host.value(FIN_TIMEOUT) == found


def test_the_watchdog_works_as_a_program_of_its_own(host: Host, tmp_path: Path) -> None:
    """As systemd runs it: nothing of ours is installed, and the lock tells the module that it is on guard."""
    found = host.value(FIN_TIMEOUT)
    (tmp_path / "watchdog.pyz").write_bytes(_watchdog_unit.program())
    host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=600)
    host.kill_watchdogs()
    environment = {"PATH": os.environ["PATH"]}
    with subprocess.Popen([*host.enter, sys.executable, "-I", str(tmp_path / "watchdog.pyz")], env=environment) as own:
        wait_until(lambda: "/run/autotune/watchdog.lock" in [_link(fd) for fd in Path(f"/proc/{own.pid}/fd").iterdir()])
        host.call(values={FIN_TIMEOUT: 18}, state="leased", holder="anna", lease=600)
        assert not host.watchdogs(), "it was seen to be on guard"
        host.expire()
        assert own.wait(PATIENCE) == 0
    assert host.value(FIN_TIMEOUT) == found
    assert host.call("sysctl_info", parameters=[])["verdict"]["verified"]


def test_renewing_keeps_the_values_beyond_the_first_deadline(host: Host) -> None:
    found = host.value(FIN_TIMEOUT)
    first_deadline = time.monotonic() + 10
    first = host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=10)
    second = host.call(values={FIN_TIMEOUT: 18}, state="leased", holder="anna", lease=600)
    assert first["lease"]["nonce"] == second["lease"]["nonce"]
    wait_until(lambda: time.monotonic() > first_deadline + 3)
    assert host.value(FIN_TIMEOUT) == "18"
    assert len(host.watchdogs()) == 1
    assert host.call(state="restored", holder="anna")["applied"] == {FIN_TIMEOUT: found}


def test_a_second_holder_is_refused_by_name(host: Host) -> None:
    host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=30)
    for arguments in (
        {"values": {FIN_TIMEOUT: 18}, "state": "leased", "holder": "bert"},
        {"values": {FIN_TIMEOUT: 18}},
        {"state": "restored", "holder": "bert"},
        {"state": "restored", "persist": "90-x"},
    ):
        assert "anna holds a lease on this host for another" in host.call(**arguments)["msg"]
    assert host.value(FIN_TIMEOUT) == "17"


def test_after_the_watchdog_was_killed_the_next_contact_restores(host: Host) -> None:
    found = host.value(FIN_TIMEOUT)
    host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=600)
    host.kill_watchdogs()
    host.expire()
    assert host.value(FIN_TIMEOUT) == "17"
    result = host.call(values={SYN_RETRIES: 3}, state="leased", holder="bert")
    assert "the lease of anna expired" in json.dumps(result["warnings"])
    assert result["verdict"]["verified"]
    assert host.value(FIN_TIMEOUT) == found
    assert len(host.watchdogs()) == 1


def test_the_renewal_replaces_a_killed_watchdog(host: Host) -> None:
    host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=30)
    host.kill_watchdogs()
    host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=30)
    assert len(host.watchdogs()) == 1


def test_a_new_lease_right_after_the_end_of_one_is_watched(host: Host) -> None:
    """The watchdog of the first may be about to leave when the second begins."""
    found = host.value(FIN_TIMEOUT)
    for dummy in range(5):
        host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=600)
        host.call(state="restored")
    host.call(values={FIN_TIMEOUT: 17}, state="leased", holder="anna", lease=1)
    wait_until(lambda: host.value(FIN_TIMEOUT) == found)


def injected(host: Host, folder: Path, injection: str, trace: list[str], **arguments: Any) -> Any:
    """The module's call with a fault injected by strace at one of its system calls."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    command = ["strace", "-qq", "-o", str(folder / "strace"), *trace, f"--inject={injection}"]
    return host.run(*command, sys.executable, "-c", CALL, "sysctl", input=json.dumps(arguments), check=False)


THREE = {**VALUES, SYN_RETRIES: 3}
WRITES = ["--trace=write", *(f"--trace-path=/proc/sys/{parameter.replace('.', '/')}" for parameter in THREE)]


@pytest.mark.parametrize("when", range(1, 4))
def test_a_call_killed_at_any_write_is_undone_at_the_leases_end(when: int, host: Host, tmp_path: Path) -> None:
    found = host.values(*THREE)
    lease = {"values": THREE, "state": "leased", "holder": "anna", "lease": 600}
    assert injected(host, tmp_path, f"write:signal=KILL:when={when}", WRITES, **lease).returncode != 0
    assert (host.values(*THREE) == found) is (when == 1)
    host.expire()
    wait_until(lambda: host.values(*THREE) == found)


# The journal is written before and after the values, each time by fsync of the file, rename, fsync of the folder.
@pytest.mark.parametrize("point", ["fsync:when=1", "rename:when=1", "fsync:when=2", "fsync:when=3", "rename:when=2"])
def test_a_call_killed_at_any_point_of_its_journal_is_undone_too(point: str, host: Host, tmp_path: Path) -> None:
    found = host.values(*THREE)
    lease = {"values": THREE, "state": "leased", "holder": "anna", "lease": 1}
    call, when = point.split(":")
    killed = injected(host, tmp_path, f"{call}:signal=KILL:{when}", [f"--trace={call}"], **lease)
    assert killed.returncode != 0
    wait_until(lambda: host.values(*THREE) == found)
    # A journal may be left without a watchdog then, but not without an end.
    wait_until(lambda: "failed" not in host.call(**{**lease, "holder": "bert"}))


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_journal_that_cannot_be_written_stops_the_call(call: str, error: str, host: Host, tmp_path: Path) -> None:
    found = host.values(*THREE)
    lease = {"values": THREE, "state": "leased", "holder": "anna", "lease": 60}
    failed = injected(host, tmp_path, f"{call}:error={error}:when=1", [f"--trace={call}"], **lease)
    assert "The lease journal could not be written" in json.loads(failed.stdout)["msg"]
    assert host.values(*THREE) == found
    assert host.call("sysctl_info", parameters=[])["lease"] is None


@pytest.mark.parametrize("when", range(1, 4))
def test_a_write_that_fails_with_eio_puts_all_back(when: int, host: Host, tmp_path: Path) -> None:
    found = host.values(*THREE)
    failed = injected(host, tmp_path, f"write:error=EIO:when={when}", WRITES, values=THREE)
    assert "(Input/output error); everything was restored" in json.loads(failed.stdout)["msg"]
    assert host.values(*THREE) == found


def test_a_file_of_an_earlier_installation_comes_back_with_mode_and_owner(host: Host) -> None:
    path = "/etc/sysctl.d/90-x.conf"
    host.call(values={SYN_RETRIES: host.value(SYN_RETRIES)}, persist="90-x")
    host.run("sh", "-c", f"rm -r /var/lib/autotune; chown 12:34 {path}; chmod 640 {path}")
    look = ("sh", "-c", f"stat -c '%a %u %g' {path}; cat {path}; sysctl {FIN_TIMEOUT}")
    found = host.run(*look).stdout
    assert host.call(values={FIN_TIMEOUT: 17}, persist="90-x")["changed"]
    assert f"{FIN_TIMEOUT} = 17" in host.run("cat", path).stdout
    assert host.run("stat", "-c", "%a %u %g", path).stdout == "644 0 0\n"
    assert host.call(state="restored", persist="90-x")["changed"]
    assert host.run(*look).stdout == found
    assert not host.call(state="restored", persist="90-x")["changed"]
    host.run("rm", path)
    assert host.run("ls", "/var/lib").stdout == ""


def test_a_file_of_the_vendors_is_not_hidden(host: Host) -> None:
    vendors = [path.stem for path in Path("/usr/lib/sysctl.d").glob("*.conf")]
    if not vendors:
        pytest.skip("nothing is in /usr/lib/sysctl.d")
    refused = host.call(values={FIN_TIMEOUT: 17}, persist=vendors[0])
    assert f"would hide /usr/lib/sysctl.d/{vendors[0]}.conf" in refused["msg"]
    assert host.run("ls", "/etc/sysctl.d", "/var/lib").stdout.split() == ["/etc/sysctl.d:", "/var/lib:"]


def test_what_the_kernel_made_of_a_value_is_nobody_elses_doing(host: Host) -> None:
    values = {"net.ipv4.tcp_fastopen": "0x3", "net.ipv4.ip_local_reserved_ports": "8080,8081"}
    found = host.values(*values)
    host.call(values=values, persist="90-x")
    foreseen = host.call(values=values, persist="90-x", _ansible_check_mode=True)
    assert not foreseen["changed"]
    done = host.call(values=values, persist="90-x")
    assert {key: foreseen[key] for key in ("applied", "parameters")} == {
        key: done[key] for key in ("applied", "parameters")
    }
    assert "warnings" not in host.call(state="restored", persist="90-x")
    assert host.values(*values) == found


@pytest.fixture
def sysctl_conf(host: Host, tmp_path: Path) -> Iterator[Path]:
    """A file that is /etc/sysctl.conf to the host, which has no files of the vendor's: these would set what is not of
    net.*, and thereby the machine's.
    """
    if not Path("/etc/sysctl.conf").exists():
        pytest.skip("there is no /etc/sysctl.conf to mount another one upon")
    (tmp_path / "sysctl.conf").touch()
    vendors = {str(Path(lib, "sysctl.d").resolve()) for lib in ("/lib", "/usr/lib", "/usr/local/lib")}
    hidden = [folder for folder in vendors if Path(folder).is_dir()]
    for folder in hidden:
        host.run("mount", "-t", "tmpfs", "tmpfs", folder)
    host.run("mount", "--bind", str(tmp_path / "sysctl.conf"), "/etc/sysctl.conf")
    yield tmp_path / "sysctl.conf"
    host.run("umount", "/etc/sysctl.conf", *hidden)


def test_who_prevails_is_told_and_comes_true(host: Host, sysctl_conf: Path) -> None:
    sysctl_conf.write_text(f"{FIN_TIMEOUT} = 77\n")
    host.run("sh", "-c", f"echo {SYN_RETRIES} = 5 > /etc/sysctl.d/95-ops.conf")
    found = host.values(FIN_TIMEOUT, SYN_RETRIES)
    said = json.dumps(host.call(values={FIN_TIMEOUT: 20, SYN_RETRIES: 3}, persist="90-x")["warnings"])
    applied = host.run("sysctl", "--system", check=False).stdout  # where --pattern is heeded by some versions only
    assert set(re.findall(r"^([\w/]+)[.\w/]* = ", applied, re.MULTILINE)) == {"net"}, applied
    kept = host.values(FIN_TIMEOUT, SYN_RETRIES)
    host.call(state="restored", persist="90-x")
    assert host.values(FIN_TIMEOUT, SYN_RETRIES) == found
    assert kept == {FIN_TIMEOUT: "77", SYN_RETRIES: "5"}
    assert f"/etc/sysctl.conf sets {FIN_TIMEOUT} to 77 and prevails" in said
    assert f"/etc/sysctl.d/95-ops.conf sets {SYN_RETRIES} to 5 and prevails" in said
    host.run("rm", "/etc/sysctl.d/95-ops.conf")


def test_what_lies_in_the_folder_is_neither_fatal_nor_waited_for(host: Host) -> None:
    host.run("sh", "-c", "cd /etc/sysctl.d && ln -s ../gone.conf 99-sysctl.conf && mkfifo 95-fifo.conf")
    result = host.call(values={FIN_TIMEOUT: 17}, persist="90-x")
    assert result["changed"]
    assert "95-fifo.conf was not checked: it is a FIFO" in json.dumps(result["warnings"])
    assert "99-sysctl.conf was not checked: it is a dangling link" in json.dumps(result["warnings"])
    assert host.call(state="restored", persist="90-x")["changed"]
    host.run("sh", "-c", "cd /etc/sysctl.d && rm 99-sysctl.conf 95-fifo.conf")


PLAY = f"""
- hosts: all
  gather_facts: false
  tasks:
    - autotune.kernel.sysctl:
        state: leased
        holder: anna
        lease: 600
        values: {{"{FIN_TIMEOUT}": 17}}
"""


@pytest.fixture(scope="module")
def sshd(namespaces: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables that lead to an sshd which listens on the loopback of the namespaces."""
    server = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if not server:
        pytest.skip("openssh-server is not installed")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "sshd_config").write_text(
        f"Port 2222\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/key.pub\n"
        "PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\nSetEnv SHLVL=2\n"
    )
    (folder / "known_hosts").write_text(f"[127.0.0.1]:2222 {(folder / 'host_key.pub').read_text()}")
    namespaces.run("mkdir", "-p", "/run/sshd")
    with subprocess.Popen([*namespaces.enter, server, "-D", "-e", "-f", str(folder / "sshd_config")]) as process:
        wait_until(lambda: "2222" in namespaces.run("ss", "-ltn").stdout)
        try:
            yield {
                "ansible_host": "127.0.0.1",
                "ansible_port": "2222",
                "ansible_user": "root",
                "ansible_ssh_private_key_file": f"{folder}/key",
                # A connection that an earlier test run left open leads to that run's namespaces.
                "ansible_ssh_common_args": f"-o ControlPath=none -o UserKnownHostsFile={folder}/known_hosts",
            }
        finally:
            process.terminate()


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "file"])
@pytest.mark.parametrize("connection", ["local", "ssh"])
def test_ansible_does_not_wait_for_the_watchdog(
    connection: str, pipelining: bool, host: Host, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    variables = {"ansible_connection": connection, "ansible_pipelining": pipelining}
    variables["ansible_python_interpreter"] = sys.executable
    if connection == "ssh":
        variables |= request.getfixturevalue("sshd")
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"target": variables}}}))
    play = ["ansible-playbook", "-i", str(tmp_path / "inventory.json"), str(tmp_path / "play.yml")]
    found = host.value(FIN_TIMEOUT)
    shown = host.run(*play, timeout=PATIENCE).stdout
    assert "changed=1" in shown
    assert host.value(FIN_TIMEOUT) == "17", (shown, host.call("sysctl_info", parameters=[]))
    assert len(host.watchdogs()) == 1
    if connection == "ssh":  # nobody is connected any more, and the archive with the module's code has gone
        host.expire()
        wait_until(lambda: host.value(FIN_TIMEOUT) == found)
        assert host.call(state="restored")["verdict"]["verified"]
