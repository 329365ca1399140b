# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The overhead of an evaluation beyond the benchmark, by stage: `./dev bench`.

Runs a study on the lab's hosts whose benchmark sleeps for a known time, and reads the stages from the store.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store  # noqa: E402

SCRIPT = """
import sys, time
for second in range(int(sys.argv[1])):
    time.sleep(1)
    print(f"throughput: {100 + second}", flush=True)
"""
STAGES = {
    "apply": "module sysctl over SSH: set the values under the lease, read them back",
    "sample": "open channels, sample system metrics, read the output",
    "wait": "the host waits for the store, the learner and other hosts",
}


def study(seconds: int, evaluations: int) -> dict[str, Any]:
    return {
        "workload_name": "nothing",
        "reward_metric": "throughput",
        "benchmark_command": f"python3 nothing.py {seconds}",
        "action_space": [
            {"param": "net.ipv4.tcp_fin_timeout", "min": 10, "max": 120},
            {
                "param": "net.ipv4.tcp_rmem",
                "elements": [{"value": 4096}, {"value": 131072}, {"min": 200000, "max": 9000000}],
            },
        ],
        "state_space": [{"metric": "cpu_usage"}, {"metric": "net_tx_mbit_per_second"}],
        "training_config": {"total_timesteps": evaluations, "benchmark_timeout": 60, "seed": 1},
        "verification": {"pairs": 4},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="duration of the benchmark (%(default)s)")
    parser.add_argument("--evaluations", type=int, default=24, help="training evaluations (%(default)s)")
    arguments = parser.parse_args()
    play = [Path(sys.executable).with_name("ansible-playbook"), "-i"]
    subprocess.run([*play, "localhost,", ROOT / "playbooks/lab.yml"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nothing.py").write_text(SCRIPT)
        file = Path(folder) / "study.yml"
        file.write_text(yaml.safe_dump(study(arguments.seconds, arguments.evaluations)))
        variables = json.dumps({"study": str(file), "output": folder})
        subprocess.run([*play, ROOT / "inventories/lab", ROOT / "playbooks/tune.yml", "-e", variables], check=True)
        engine = store.open_store(f"sqlite:///{folder}/autotune.sqlite")
        rows = store.trials(engine, store.studies(engine)[0].id)
        result = json.loads((Path(folder) / "nothing/result.json").read_text())
    report([row.seconds for row in rows], result, len(result["per_host"]))


def report(evaluations: list[dict[str, float]], result: dict[str, Any], hosts: int) -> None:
    """Print the seconds per evaluation by stage: median and 90th percentile."""
    print(f"\n{len(evaluations)} evaluations on {hosts} hosts, seconds per evaluation")
    print(f"{'stage':<12}{'median':>8}{'90 %':>8}")
    benchmark = [row["benchmark"] for row in evaluations]
    for stage, own in {"benchmark": benchmark, **{s: [row[s] for row in evaluations] for s in STAGES}}.items():
        print(f"{stage:<12}{median(own):8.3f}{quantiles(own, n=10)[-1]:8.3f}  {STAGES.get(stage, 'benchmark')}")
    added = [row["apply"] + row["sample"] + row["wait"] for row in evaluations]
    print(f"{'overhead':<12}{median(added):8.3f}{quantiles(added, n=10)[-1]:8.3f}  sum of apply, sample and wait")
    own = result["seconds"]
    print(f"connect {own['connect'] / hosts:.3f} s per host, learn {own['learn']:.2f} s, store {own['store']:.2f} s")
    waited = sum(row["wait"] for row in evaluations) / hosts
    print(f"hosts waited for the learner and each other for {waited / own['total']:.1%} of {own['total']:.0f} s")


if __name__ == "__main__":
    main()
