# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Break a run at random moments, again and again: `./dev soak [N]`.

Every time a study runs on the lab's hosts, one fault strikes at a moment that the seed decides, and every value must be
back, verified by the host, within the lease and two seconds. Results are kept by seed, so that a soak that was stopped
goes on where it was when it is called with the same seed again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks/collections"))  # as pyproject.toml has it for pytest
BIN = Path(sys.executable).parent
LIMIT = 2  # seconds of the benchmark; the lease is one second longer
LEASE = LIMIT + 1
GRACE = 2.0
SPAN = 12.0  # seconds from the first trial's beginning within which the fault strikes
WATCHED = (
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_rmem",
    "net.core.somaxconn",
)
RUN_FULL = """
set -- $(stat --file-system --format='%b %f %S' /run)
mount -o remount,size=$((($1 - $2) * $3)) /run
"""
RUN_AGAIN = "mount -o remount,size=50% /run"
SENSOR = """
import random, time
read = lambda name: open("/proc/sys/net/ipv4/" + name).read().split()
for dummy in range(random.randint(1, 5)):
    time.sleep(0.1)
    print(f"throughput: {100 + int(read('tcp_fin_timeout')[0]) / 2 + random.random():.3f}", flush=True)
"""
STUDY = {
    "workload_name": "soak",
    "reward_metric": "throughput",
    "benchmark_command": "python3 sensor.py",
    "action_space": [
        {"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 120},
        {"param": "net.ipv4.tcp_congestion_control", "choices": ["reno", "bbr"]},
        {
            "param": "net.ipv4.tcp_rmem",
            "elements": [{"value": 4096}, {"value": 131072}, {"min": 200000, "max": 9000000}],
        },
        {"param": "net.core.somaxconn", "min": 128, "max": 65535, "log": True},
    ],
    "state_space": [{"metric": "cpu_usage"}],
    "training_config": {"total_timesteps": 8, "benchmark_timeout": LIMIT},
    "verification": {"pairs": 4, "candidates": 2},
}


@dataclass(frozen=True)
class Case:
    """What came of one fault. seconds: from the fault until the last value was back. found: what was not, if any."""

    fault: str
    number: int
    moment: float
    phase: str
    seconds: float
    found: dict[str, Any]


class Run:
    """A study on the lab; every process of it has `mark` in its environment."""

    def __init__(self, lab: Any, folder: Path, seed: int) -> None:
        (folder / "sensor.py").write_text(SENSOR)
        (folder / "study.yml").write_text(yaml.safe_dump(STUDY))
        self.mark = f"AUTOTUNE_SOAK={uuid.uuid4()}"
        name, dummy, value = self.mark.partition("=")
        settings = {"study": str(folder / "study.yml"), "output": str(folder), "lease_margin": 1, "seed": seed}
        self.process = subprocess.Popen(
            [BIN / "ansible-playbook", "-i", lab.inventory, ROOT / "playbooks/tune.yml", "-e", json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, name: value, "ANSIBLE_NOCOLOR": "1"},
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)

    def wait_for(self, text: str, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while not any(text in line for line in self.lines):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise SystemExit(f"the run did not come to {text!r}:\n{''.join(self.lines)}")
            time.sleep(0.02)

    @property
    def phase(self) -> str:
        """Of the last trial shown."""
        shown = [line.split(":")[0].split()[-1] for line in self.lines if " left\n" in line]
        return shown[-1] if shown else "start"

    def processes(self) -> dict[int, str]:
        """The command lines of all processes of this run, by pid."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
            except OSError:
                continue
        return found

    def kill(self, what: str = "") -> None:
        """Kill all of its processes, until there are none; or those whose command line has a certain word."""
        while pids := [pid for pid, command in self.processes().items() if what in command]:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.poll()
            time.sleep(0.01)


class Lab:
    """What a fault needs of the lab, quickly."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self._enter = {host: ["nsenter", "--target", str(lab.process(host)), "--all", "--wd=/"] for host in lab.hosts}
        self.own = self.values()

    def run(self, host: str, *command: str) -> str:
        ran = subprocess.run([*self._enter[host], *command], capture_output=True, text=True, check=False)
        return ran.stdout

    def values(self) -> dict[str, str]:
        return {host: self.run(host, "sysctl", *WATCHED) for host in self.lab.hosts}

    def wrong(self, hosts: list[str]) -> dict[str, Any]:
        """Values that are not the host's own, leases that are not over, verdicts that are not good."""
        found: dict[str, Any] = {}
        for host in hosts:
            if (values := self.run(host, "sysctl", *WATCHED)) != self.own[host]:
                found[f"{host} values"] = values
            if self.run(host, "cat", "/run/autotune/lease.json"):
                found[f"{host} lease"] = "still there"
            verdict = self.run(host, "cat", "/run/autotune/verdict.json")
            if verdict and not json.loads(verdict)["verified"]:
                found[f"{host} verdict"] = verdict
        return found

    def contact(self) -> None:
        """Whoever comes next, as a module call over SSH."""
        command = [BIN / "ansible", "-i", self.lab.inventory, "all", "-m", "autotune.kernel.sysctl"]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections")}
        subprocess.run([*command, "-a", "state=restored"], env=environment, check=True, stdout=subprocess.DEVNULL)


def controller_killed(lab: Lab, run: Run, dice: random.Random) -> list[str]:
    run.kill()
    return list(lab.own)


def worker_killed(lab: Lab, run: Run, dice: random.Random) -> list[str]:
    children = subprocess.run(
        ["pgrep", "-P", str(run.process.pid), "-f", "ansible-playbook"], capture_output=True, text=True, check=False
    ).stdout.split()
    if children:
        os.kill(int(dice.choice(children)), signal.SIGKILL)
    return list(lab.own)  # ansible-playbook ends when one of its workers is dead


def trainer_killed(lab: Lab, run: Run, dice: random.Random) -> list[str]:
    run.kill("_trainer")
    return list(lab.own)


def link_cut(lab: Lab, run: Run, dice: random.Random) -> list[str]:
    host = dice.choice(list(lab.own))
    subprocess.run(["ip", "link", "set", lab.lab.link(host), "down"], check=True)
    return [host]


def sshd_stopped(lab: Lab, run: Run, dice: random.Random) -> list[str]:
    host = dice.choice(list(lab.own))
    lab.run(host, "pkill", "-KILL", "sshd")
    return [host]


def watchdog_killed(lab: Lab, run: Run, dice: random.Random) -> list[str]:
    """With the controller, so that only the next contact can help: it comes when the lease has run out."""
    run.kill()
    time.sleep(0.5)  # a call that was under way may still be starting one
    for host in lab.own:
        lab.run(host, "pkill", "-KILL", "-x", "autotune-lease")
    time.sleep(LEASE)
    lab.contact()
    return list(lab.own)


def run_full(lab: Lab, run: Run, dice: random.Random) -> list[str]:
    """With the controller, so that a lease runs out on a host whose /run has no free page."""
    host = dice.choice(list(lab.own))
    lab.run(host, "sh", "-c", RUN_FULL)
    run.kill()
    return [host]


FAULTS: dict[str, Callable[[Lab, Run, random.Random], list[str]]] = {
    "controller": controller_killed,
    "link": link_cut,
    "sshd": sshd_stopped,
    "worker": worker_killed,
    "trainer": trainer_killed,
    "watchdog": watchdog_killed,
    "run-full": run_full,
}


def strike(lab: Lab, fault: str, number: int, seed: int) -> Case:
    """One run, one fault; returns once every value is back, or long after it should be."""
    dice = random.Random(f"{seed}-{fault}-{number}")
    moment = dice.uniform(0, SPAN)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(lab.lab, Path(folder), dice.randrange(1000))
        try:
            run.wait_for("] study soak", 60)
            limit = time.monotonic() + 60
            while not lab.wrong(["lab1"]) and time.monotonic() < limit:  # until there is something to put back
                time.sleep(0.05)
            time.sleep(moment)
            phase = run.phase if run.process.poll() is None else "after the end"
            if phase == "after the end" and run.process.returncode:
                raise SystemExit(f"the run failed by itself:\n{''.join(run.lines)}")
            struck_at = time.monotonic()
            concerned = FAULTS[fault](lab, run, dice)
            if fault == "watchdog":
                struck_at = time.monotonic() - LEASE  # what counts is the contact, which came after the lease
            while (found := lab.wrong(concerned)) and time.monotonic() - struck_at < 60:
                time.sleep(0.05)
            seconds = time.monotonic() - struck_at
        finally:
            run.kill()
    limit = time.monotonic() + 60
    while lab.wrong(list(lab.own)) and time.monotonic() < limit:  # the hosts that were not concerned
        time.sleep(0.1)
    found |= lab.wrong(list(lab.own))
    return Case(fault, number, round(moment, 3), phase, round(seconds, 2), found)


def repair(lab: Lab, fault: str) -> None:
    for host in lab.lab.hosts if fault == "link" else ():
        subprocess.run(["ip", "link", "set", lab.lab.link(host), "up"], check=True)
    for host in lab.lab.hosts if fault == "run-full" else ():
        lab.run(host, "sh", "-c", RUN_AGAIN)
    if fault == "sshd":
        lab.lab.build()


@contextmanager
def soaked_lab() -> Iterator[Lab]:
    """A lab of the soak's own, as the integration tests have it."""
    spec = importlib.util.spec_from_file_location("autotune_labs", ROOT / "tests/integration/conftest.py")
    if spec is None or spec.loader is None:
        raise SystemExit("tests/integration/conftest.py is missing")
    labs = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = labs
    spec.loader.exec_module(labs)
    with labs.lab_for_a_while() as lab:
        yield Lab(lab)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=int, nargs="?", default=100, help="how often each fault strikes (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="decides the moments (%(default)s)")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one; may be given again")
    parser.add_argument("--results", type=Path, default=ROOT / "build/soak", help="folder (%(default)s)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *dummy: sys.exit("ended by SIGTERM"))  # and the lab goes with it
    arguments.results.mkdir(parents=True, exist_ok=True)
    file = arguments.results / f"{arguments.seed}.jsonl"
    done = [Case(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    if done:
        print(f"seed {arguments.seed}: {len(done)} cases were done before, see {file}", flush=True)
    wanted = arguments.fault or list(FAULTS)
    missing = [
        (fault, number)
        for number in range(1, arguments.times + 1)
        for fault in wanted
        if not any((case.fault, case.number) == (fault, number) for case in done)
    ]
    if missing:
        with soaked_lab() as lab:
            for fault, number in missing:
                case = strike(lab, fault, number, arguments.seed)
                repair(lab, fault)
                done.append(case)
                with file.open("a") as output:
                    output.write(json.dumps(asdict(case)) + "\n")
                print(told(case), flush=True)
                if case.found:
                    raise SystemExit(f"seed {arguments.seed}: the lab is left with {case.found}")
    sys.exit(summary([case for case in done if case.fault in wanted], arguments.seed))


def told(case: Case) -> str:
    what = f"NOT BACK: {case.found}" if case.found else f"back after {case.seconds:.1f} s"
    return f"{case.fault} {case.number} at {case.moment:.2f} s ({case.phase}): {what}"


def is_good(case: Case) -> bool:
    return not case.found and case.seconds <= LEASE + GRACE


def summary(cases: list[Case], seed: int) -> int:
    """Print the counts; 1 if any value was not back in time."""
    print(f"\nseed {seed}, lease {LEASE} s, within lease + {GRACE:g} s")
    print(f"{'fault':<12}{'times':>6}{'back':>6}{'median s':>10}{'longest s':>10}")
    for fault in dict.fromkeys(case.fault for case in cases):
        own = [case for case in cases if case.fault == fault]
        seconds = [case.seconds for case in own]
        good = sum(map(is_good, own))
        print(f"{fault:<12}{len(own):>6}{good:>6}{median(seconds):>10.2f}{max(seconds):>10.2f}")
    return 0 if all(map(is_good, cases)) else 1


if __name__ == "__main__":
    main()
