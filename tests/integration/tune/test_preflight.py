# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts that cannot be tuned, or should not be, and odd inventories: said before anything is written."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import SSHTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_config import SSHAddress
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import ConnectionLost

pytestmark = pytest.mark.usefixtures("untouched")
Write = Callable[..., Path]
Runner = Callable[..., Any]
FIN_TIMEOUT = {"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 120}


@pytest.fixture
def inventory(lab: Any, tmp_path: Path) -> Callable[..., Path]:
    """An inventory with these hosts (names and variables that differ from lab1's), and more groups."""

    def write(hosts: dict[str, dict[str, Any]], groups: dict[str, list[str]] | None = None) -> Path:
        own = json.loads(lab.inventory.read_text())["lab"]
        named = {name: {**own["hosts"]["lab1"], **variables} for name, variables in hosts.items()}
        more = {group: {"hosts": {name: {} for name in names}} for group, names in (groups or {}).items()}
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"lab": {**own, "hosts": named}, **more}))
        return path

    return write


@pytest.fixture
def tuned(lab: Any) -> Iterator[None]:
    """A daemon by that name on lab1."""
    script = "cp $(command -v sleep) /tmp/tuned && exec /tmp/tuned 300"
    enter = ["nsenter", "--target", str(lab.process("lab1")), "--all", "--wd=/"]
    daemon = subprocess.Popen([*enter, "sh", "-c", script])
    limit = time.monotonic() + 180
    while lab.run("lab1", "pgrep", "-x", "tuned", check=False).returncode:
        assert time.monotonic() < limit
        time.sleep(0.02)
    yield
    lab.run("lab1", "pkill", "-x", "tuned")
    daemon.wait()
    lab.run("lab1", "rm", "/tmp/tuned")


def said(run: Any) -> str:
    return " ".join(run.text.split())


def test_a_host_that_tuned_manages_is_refused(tuned: None, tune: Runner, write_study: Write) -> None:
    run = tune(write_study(action_space=[FIN_TIMEOUT]))

    assert run.process.returncode == 2
    assert "tuned is running and would change parameters during the study" in said(run)
    assert "systemctl stop tuned" in said(run)
    assert " baseline: " not in run.text


def test_a_container_with_a_read_only_proc_sys_is_refused(lab: Any, tune: Runner, write_study: Write) -> None:
    lab.run("lab1", "sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys")
    try:
        run = tune(write_study(action_space=[FIN_TIMEOUT]))
    finally:
        lab.run("lab1", "umount", "/proc/sys")

    assert run.process.returncode == 2
    assert "net.ipv4.tcp_fin_timeout cannot be set: /proc/sys is read-only here, as in a container" in said(run)
    assert " baseline: " not in run.text


@pytest.mark.slow
def test_an_optional_parameter_that_one_host_lacks_is_tuned_on_none(lab: Any, tune: Runner, write_study: Write) -> None:
    hidden = "/proc/sys/net/ipv6/route"
    optional = {"param": "net.ipv6.route.gc_timeout", "min": 30, "max": 120, "optional": True}
    lab.run("lab2", "mount", "-t", "tmpfs", "none", hidden)
    try:
        run = tune(write_study(action_space=[FIN_TIMEOUT, optional]), "-e", "dry_run=true", hosts="lab")
    finally:
        lab.run("lab2", "umount", hidden)

    assert run.process.returncode == 0, run.text
    assert "optional parameter net.ipv6.route.gc_timeout is left out of the study: lab2 does not have it" in said(run)
    assert "dry run on lab1: connected, 1 parameter found and writable" in said(run)
    assert "dry run on lab2: connected, 1 parameter found and writable" in said(run)


def test_a_host_without_python_is_refused(tune: Runner, write_study: Write) -> None:
    run = tune(write_study(), "-e", "ansible_python_interpreter=/usr/bin/no-such-python")

    assert run.process.returncode in (2, 4), run.text
    assert "no-such-python" in said(run)
    assert "Traceback" not in run.text
    assert " baseline: " not in run.text


def test_a_host_whose_disk_is_full_is_refused(lab: Any, tune: Runner, write_study: Write) -> None:
    lab.run("lab1", "mount", "-t", "tmpfs", "-o", "nr_inodes=1", "none", "/tmp")
    try:
        run = tune(write_study())
    finally:
        lab.run("lab1", "umount", "/tmp")

    assert run.process.returncode == 2, run.text
    assert "cannot create a private folder in the folder for temporary files on the host: mktemp: failed to " in said(
        run
    )
    assert "No space left on device" in said(run)
    assert "Traceback" not in run.text
    assert " baseline: " not in run.text


def test_a_noexec_tmp_is_said_and_the_inventorys_folder_is_used_instead(
    lab: Any, tune: Runner, write_study: Write, tmp_path: Path
) -> None:
    (tmp_path / "bench.sh").write_text("#!/bin/sh\npwd\necho throughput: 5\ncase $PWD in /tmp/*) exit 1 ;; esac\n")
    (tmp_path / "bench.sh").chmod(0o755)
    study = write_study(action_space=[FIN_TIMEOUT], benchmark_command="nice -n 5 ./bench.sh", baseline_trials=2)
    rehearse = ["-e", "dry_run=true"]
    lab.run("lab1", "mount", "-t", "tmpfs", "-o", "noexec,mode=1777", "none", "/tmp")
    try:
        run = tune(study, *rehearse)
        elsewhere = tune(study, *rehearse, "-e", "ansible_remote_tmp=/run/lab/of_its_own")
        left = lab.run("lab1", "ls", "/run/lab/of_its_own").stdout
    finally:
        lab.run("lab1", "umount", "-l", "/tmp")
        lab.run("lab1", "rm", "-rf", "/run/lab/of_its_own")

    assert run.process.returncode == 2, run.text
    assert "Permission denied; /tmp on the host is mounted noexec: set ansible_remote_tmp" in said(run)
    assert "Traceback" not in run.text
    assert elsewhere.process.returncode == 0, elsewhere.text
    assert "the benchmark works: 5, 5 throughput" in said(elsewhere)
    assert left == ""


def test_another_host_that_runs_the_benchmark_is_reached_by_all_that_the_inventory_says_of_it(
    lab: Any, tune: Runner, write_study: Write, tmp_path: Path
) -> None:
    own = json.loads(lab.inventory.read_text())["lab"]
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec ssh {own["vars"]["ansible_ssh_common_args"]} "$@"\n')
    wrapper.chmod(0o755)
    key = own["hosts"]["lab2"].get("ansible_ssh_private_key_file") or own["vars"]["ansible_ssh_private_key_file"]
    generator = {
        "ansible_ssh_host": lab.hosts["lab2"],
        "ansible_ssh_user": "root",
        "ansible_private_key_file": key,
        "ansible_ssh_executable": str(wrapper),
        "ansible_remote_tmp": "/run/lab/of_its_own",
    }
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"lab": own, "more": {"hosts": {"generator": generator}}}))
    study = write_study(
        "import os\nassert os.getcwd().startswith('/run/lab/of_its_own/')\n"
        "print('throughput:', os.uname().nodename[3:])",
        run_on="generator",
        baseline_trials=2,
    )
    run = tune(study, "--limit", "lab1", "-e", "dry_run=true", inventory=path)
    lab.run("lab2", "rmdir", "/run/lab/of_its_own")  # empty

    assert run.process.returncode == 0, run.text
    assert "the benchmark works: 2, 2 throughput" in said(run)


@pytest.mark.parametrize("known", ["another key", "no key"])
def test_the_benchmarks_own_connection_believes_no_other_host_either(
    lab: Any, ssh_option: dict[str, Any], tmp_path: Path, known: str
) -> None:
    address, lines = ssh_option["host"], (lab.directory / "known_hosts").read_text().splitlines()
    key = next(line.split(maxsplit=1)[1] for line in lines if not line.startswith(f"{address} "))
    (tmp_path / "known_hosts").write_text(f"{address} {key}\n" if known == "another key" else "")
    arguments = ssh_option["ssh_common_args"].replace(str(lab.directory / "known_hosts"), str(tmp_path / "known_hosts"))

    with pytest.raises(
        ConnectionLost, match="does not match" if known == "another key" else "not found in known_hosts"
    ):
        SSHTransport(SSHAddress.of_connection({**ssh_option, "ssh_common_args": arguments}.get))


@pytest.mark.slow
def test_what_hosts_on_one_kernel_share_is_tuned_on_one_of_them(lab: Any, tune: Runner, write_study: Write) -> None:
    """And the first is told that it is not its own alone."""
    before = Path("/proc/sys/kernel/printk_ratelimit_burst").read_text()
    study = write_study(
        "import time; time.sleep(0.3); print('throughput: 1')",
        action_space=[{"param": "kernel.printk_ratelimit_burst", "min": 9, "max": 10}],
        training_config={"total_timesteps": 1, "benchmark_timeout": 5},
        verification={"candidates": 1, "pairs": 4, "keep": "all"},
        allow_unsafe=["kernel.printk_ratelimit_burst"],
    )
    run = tune(study, hosts="lab")

    assert "are the same kernel and share kernel.printk_ratelimit_burst" in said(run)
    assert "kernel.printk_ratelimit_burst is machine-wide, so the study affects everything on the machine" in said(run)
    assert len(run.result["per_host"]) == 1
    assert Path("/proc/sys/kernel/printk_ratelimit_burst").read_text() == before


def test_cautious_exploration_of_a_range_that_the_host_is_not_in_is_refused(tune: Runner, write_study: Write) -> None:
    study = write_study(
        action_space=[{"param": "net.ipv4.tcp_fin_timeout", "min": 70, "max": 120}], exploration="cautious"
    )
    run = tune(study)

    assert run.process.returncode == 2
    assert "outside the search space: net.ipv4.tcp_fin_timeout is 60; widen the ranges" in said(run)
    assert " baseline: " not in run.text


@pytest.mark.slow
def test_cautious_exploration_stays_near_the_hosts_own_values(tune: Runner, write_study: Write) -> None:
    study = write_study(
        action_space=[{"param": "net.ipv4.tcp_fin_timeout", "min": 20, "max": 120}],
        exploration="cautious",
        training_config={"total_timesteps": 4, "benchmark_timeout": 5},
        verification={"candidates": 1, "pairs": 4, "keep": "all"},
        baseline_trials=2,
    )
    run = tune(study)

    assert run.process.returncode == 0, run.text
    tried = [int(row.applied["net.ipv4.tcp_fin_timeout"]) for row in run.trials if row.phase == "train"]
    assert len(tried) == 4
    assert all(abs(value - 60) <= 5 * (at + 1) for at, value in enumerate(tried))
    assert max(abs(value - 60) for value in tried) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-e", "target=nobody"], "no host matches"),
        (["-e", "target=empty"], "no host matches"),
        (["--limit", "nobody"], "leaves us with no hosts to target"),
    ],
    ids=["unknown pattern", "empty group", "limit to nothing"],
)
def test_a_run_without_hosts_is_an_error(
    tune: Runner, write_study: Write, inventory: Callable[..., Path], arguments: list[str], words: str
) -> None:
    run = tune(write_study(), *arguments, inventory=inventory({"lab1": {}}, {"empty": []}))

    assert run.process.returncode != 0, run.text
    assert words in said(run)
    assert "Traceback" not in run.text


@pytest.mark.slow
def test_odd_names_and_addresses_are_only_odd(
    lab: Any, tune: Runner, write_study: Write, inventory: Callable[..., Path], tmp_path: Path
) -> None:
    """A name with a space, in two groups, behind an IPv6 address; the other host lacks the parameter."""
    lab.run("lab1", "ip", "address", "add", "fd00:a7::2/64", "dev", "eth0", "nodad")
    subprocess.run(["ip", "address", "add", "fd00:a7::1/64", "dev", lab.link("lab1"), "nodad"], check=True)
    enter = ["nsenter", "--target", str(lab.process("lab1")), "--all", "--wd=/"]
    listen = "-oListenAddress=[fd00:a7::2]:2222"
    sshd = subprocess.Popen([*enter, "/usr/sbin/sshd", "-D", "-f", "/run/lab/sshd_config", listen])
    lab.run("lab2", "mount", "-t", "tmpfs", "none", "/proc/sys/net/ipv4/conf")
    own = json.loads(lab.inventory.read_text())["lab"]
    known = tmp_path / "known_hosts"
    key = (lab.directory / "lab1/host_key.pub").read_text()
    known.write_text((lab.directory / "known_hosts").read_text() + f"[fd00:a7::2]:2222 {key}")
    arguments = own["vars"]["ansible_ssh_common_args"].replace(str(lab.directory / "known_hosts"), str(known))
    hosts = {
        "web one": {"ansible_host": "fd00:a7::2", "ansible_port": 2222, "ansible_ssh_common_args": arguments},
        "lab2": own["hosts"]["lab2"],
    }
    study = write_study(
        "print('throughput: 1')\n" * 3,
        action_space=[{"param": "net.ipv4.conf.default.tag", "min": 0, "max": 9}],
        training_config={"total_timesteps": 1, "benchmark_timeout": 5},
        verification={"candidates": 1, "pairs": 4, "keep": "all"},
        baseline_trials=2,
    )
    try:
        run = tune(study, inventory=inventory(hosts, {"first": ["web one"], "second": ["web one", "lab2"]}))
    finally:
        sshd.kill()
        sshd.wait()
        lab.run("lab2", "umount", "/proc/sys/net/ipv4/conf")
        lab.run("lab1", "ip", "address", "del", "fd00:a7::2/64", "dev", "eth0")
        subprocess.run(["ip", "address", "del", "fd00:a7::1/64", "dev", lab.link("lab1")], check=True)

    assert "lab2: net.ipv4.conf.default.tag does not exist here" in said(run), run.text
    assert not [line for line in run.lines if "web one" in line and "FAILED" in line], run.text
    assert list(run.result["per_host"]) == ["web one"], run.text
    assert run.result["verdict"] == "no_improvement", run.text
