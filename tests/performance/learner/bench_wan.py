# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Compares algorithms and expert settings on the lab's WAN: `./dev bench-wan`.

Each algorithm runs the whole study. Then the winners, the expert settings and the original values are compared: in each
round, every set of values is measured once on every host with iperf3, in random order. `--aa 5` runs five A/A studies
instead, of parameters without influence on the benchmark; none should end with an improvement.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.presets import (  # noqa: E402
    EXPERT_SETTINGS,
)
from ansible_collections.autotune.kernel.tests.performance.learner import tables  # noqa: E402

WAN = ROOT / "benchmarks/wan"
BASELINE = "original values"
# They have no influence on a connection that sends for a few seconds.
WITHOUT_INFLUENCE = [
    {"param": "net.ipv4.tcp_fin_timeout", "min": 20, "max": 120},
    {"param": "net.ipv4.tcp_keepalive_time", "min": 600, "max": 14400, "log": True},
    {"param": "net.ipv4.tcp_keepalive_probes", "min": 3, "max": 15},
    {"param": "net.ipv4.tcp_keepalive_intvl", "min": 10, "max": 120},
    {"param": "net.ipv4.tcp_orphan_retries", "min": 1, "max": 8},
    {"param": "net.ipv4.tcp_synack_retries", "min": 2, "max": 8},
]
Values = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=60, help="training evaluations per study (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of the comparison (%(default)s)")
    parser.add_argument("--algorithms", default="ppo,gp", help="comma-separated (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the studies and the rounds (%(default)s)")
    parser.add_argument("--aa", type=int, metavar="N", help="only run N A/A studies")
    parser.add_argument("--pairs", type=int, default=40, help="maximum pairs of the proof (%(default)s)")
    parser.add_argument("--inventory", help="inventory of a running lab; by default inventories/lab is started")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench-wan", help="folder (%(default)s)")
    arguments = parser.parse_args()
    if not arguments.inventory:
        play("localhost,", "playbooks/lab.yml")
    inventory = arguments.inventory or "inventories/lab"
    if arguments.aa:
        print(f"\n{aa(arguments, inventory)}")
        return
    plain = yaml.safe_load((WAN / "study.yml").read_text())
    results = {
        name: learn(arguments, inventory, f"wan-{name}", {**plain, "algorithm": name}, arguments.seed)
        for name in arguments.algorithms.split(",")
    }
    own = {name: host["original_values"] for name, host in next(iter(results.values()))["per_host"].items()}
    contestants = {
        BASELINE: {},
        **{name: result["best_config"] for name, result in results.items() if result["best_config"]},
        **experts({parameter["param"] for parameter in plain["action_space"]}),
    }
    measured = compare(arguments, inventory, contestants, own)
    print(f"\n{table(measured, results)}")


def learn(arguments: argparse.Namespace, inventory: str, name: str, study: dict[str, Any], seed: int) -> dict[str, Any]:
    """Run the study and return its result.json."""
    folder = arguments.output / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(WAN / "wan.py", folder)
    training = {**study.get("training_config", {}), "total_timesteps": arguments.evaluations}
    verification = {**study.get("verification", {}), "pairs": arguments.pairs}
    study = {**study, "workload_name": name, "training_config": training, "verification": verification}
    (folder / "study.yml").write_text(yaml.safe_dump(study))
    play(inventory, "playbooks/tune.yml", study=str(folder / "study.yml"), output=str(folder), seed=seed)
    result: dict[str, Any] = json.loads((folder / name / "result.json").read_text())
    return result


def experts(parameters: set[str]) -> dict[str, Values]:
    """Expert settings of the study's parameters, as published and with bbr added."""
    found: dict[str, Values] = {}
    for name, settings in EXPERT_SETTINGS.items():
        values = {parameter: value for parameter, value in settings.items() if parameter in parameters}
        if values:
            found |= {name: values, f"{name}, with bbr": {**values, "net.ipv4.tcp_congestion_control": "bbr"}}
    return found


def compare(
    arguments: argparse.Namespace, inventory: str, contestants: Mapping[str, Values], own: Mapping[str, Values]
) -> list[dict[str, Any]]:
    """Measure every contestant once per round and host, in random order."""
    order = random.Random(arguments.seed)
    schedule = {
        host: [
            {"round": number, "name": name, "values": {**values, **contestants[name]}}
            for number in range(arguments.rounds)
            for name in order.sample(list(contestants), len(contestants))
        ]
        for host, values in own.items()
    }
    folder = arguments.output / "comparison"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    play(inventory, str(Path(__file__).with_name("compare.yml")), schedule=schedule, folder=str(folder))
    return [
        {"host": path.stem, **row} for path in sorted(folder.glob("*.json")) for row in json.loads(path.read_text())
    ]


def table(measured: Sequence[dict[str, Any]], results: Mapping[str, Any]) -> str:
    """Each contestant compared with the original values and with our winner, paired by round and host."""
    figures = {(row["name"], row["host"], row["round"]): row["metric"] for row in measured}
    blocks = sorted({(host, number) for dummy, host, number in figures})
    names = list(dict.fromkeys(row["name"] for row in sorted(measured, key=lambda row: row["round"])))

    def against(name: str, other: str) -> str:
        pairs = [(figures.get((name, *block)), figures.get((other, *block))) for block in blocks]
        ratios = {number: math.log(a / b) for number, (a, b) in enumerate(pairs) if a and b}
        gap = tables.difference(dict.fromkeys(ratios, 0.0), ratios)
        if name == other or gap is None:
            return ""
        median, low, high = (f"{math.expm1(value):+.1%}" for value in (gap.middle, gap.low, gap.high))
        return f"{median} ({low} to {high})"

    def mean(name: str) -> float:
        own = [math.log(metric) for (contestant, *dummy), metric in figures.items() if contestant == name and metric]
        return math.exp(fmean(own)) if own else 0.0

    lines = [
        [
            name,
            f"{mean(name):.1f}",
            against(name, BASELINE),
            against(name, "ppo"),
            results[name]["verdict"] if name in results else "",
            str(sum(1 for (contestant, *dummy), metric in figures.items() if contestant == name and metric)),
        ]
        for name in sorted(names, key=mean, reverse=True)
    ]
    head = ["values", "Mbit/s", f"against {BASELINE} (95 %)", "against ppo (95 %)", "verdict of its study", "runs"]
    return tables.markdown(head, lines)


def aa(arguments: argparse.Namespace, inventory: str) -> str:
    study = yaml.safe_load((WAN / "study.yml").read_text())
    study = {**study, "action_space": WITHOUT_INFLUENCE, "constraints": []}
    lines = []
    for number in range(1, arguments.aa + 1):
        result = learn(arguments, inventory, f"aa-{number}", study, arguments.seed + number)
        change = result["improvement"]
        gain = "" if change is None else f"{change:+.1f} %"
        lines.append([str(number), result["verdict"], gain, str(result["pairs"]), result["reason"]])
    return tables.markdown(["A/A study", "verdict", "difference", "pairs", "reason"], lines)


def play(inventory: str, playbook: str, **variables: Any) -> None:
    command = [
        Path(sys.executable).with_name("ansible-playbook"),
        "-i",
        inventory,
        playbook,
        "-e",
        json.dumps(variables),
    ]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"})


if __name__ == "__main__":
    main()
