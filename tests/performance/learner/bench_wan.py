# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Compares algorithms and expert settings on the lab's WAN: `./dev bench-wan`.

Each algorithm runs the whole study. Then the winners, the expert settings and the original values are compared in
rounds (see experts.py). `--aa 5` runs five A/A studies instead, of parameters without influence on the benchmark; none
should end with an improvement. `--roles 10` runs the study as it is with ten seeds. `--effects` measures only what each
parameter of the study does, in such rounds: by itself, and beside bbr.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.presets import (  # noqa: E402
    EXPERT_SETTINGS,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.compare import ORIGINAL  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance import experts  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner import tables  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.workloads import (  # noqa: E402
    gain,
    in_words,
    learned_values,
)

WAN = ROOT / "benchmarks/wan"
BBR = {"net.ipv4.tcp_congestion_control": "bbr"}
# Each parameter of the study, as far from the hosts' own value as the study goes.
EFFECTS: dict[str, dict[str, Any]] = {
    "tcp_wmem 32 MiB": {"net.ipv4.tcp_wmem": "4096 16384 33554432"},
    "tcp_rmem 32 MiB": {"net.ipv4.tcp_rmem": "4096 131072 33554432"},
    "tcp_limit_output_bytes 64 KiB": {"net.ipv4.tcp_limit_output_bytes": 65536},
    "tcp_notsent_lowat 16 KiB": {"net.ipv4.tcp_notsent_lowat": 16384},
    "tcp_slow_start_after_idle 0": {"net.ipv4.tcp_slow_start_after_idle": 0},
    "tcp_mtu_probing 2": {"net.ipv4.tcp_mtu_probing": 2},
    "tcp_autocorking 0": {"net.ipv4.tcp_autocorking": 0},
}
# Not in the study, because other services of a host need more: what too small a buffer costs.
TOO_SMALL = {
    "tcp_wmem 128 KiB": {"net.ipv4.tcp_wmem": "4096 16384 131072"},
    "tcp_rmem 128 KiB": {"net.ipv4.tcp_rmem": "4096 131072 131072"},
}
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
    parser.add_argument("--seed", type=int, default=1, help="seed of the studies (%(default)s)")
    parser.add_argument("--aa", type=int, metavar="N", help="only run N A/A studies")
    parser.add_argument(
        "--roles", type=int, metavar="N", help="only run the study as it is, with N seeds from --seed on"
    )
    parser.add_argument("--effects", action="store_true", help="only measure what each parameter does")
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
    if arguments.roles:
        roles(arguments, inventory)
        return
    if arguments.effects:
        effects(arguments, inventory)
        return
    plain = yaml.safe_load((WAN / "study.yml").read_text())
    results = {
        name: learn(arguments, inventory, f"wan-{name}", {**plain, "algorithm": name}, arguments.seed)
        for name in arguments.algorithms.split(",")
    }
    sets = {
        **{name: result["best_config"] for name, result in results.items() if result["best_config"]},
        **experts_with_bbr({parameter["param"] for parameter in plain["action_space"]}),
    }
    measured = compare(arguments, inventory, sets)
    print(f"\n{table(measured, results)}")


def learn(arguments: argparse.Namespace, inventory: str, name: str, study: dict[str, Any], seed: int) -> dict[str, Any]:
    """Run the study and return its result.json."""
    folder = arguments.output / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in ("wan.py", "receive.yml"):
        shutil.copy(WAN / file, folder)
    training = {**study.get("training_config", {}), "total_timesteps": arguments.evaluations}
    verification = {**study.get("verification", {}), "pairs": arguments.pairs}
    study = {**study, "workload_name": name, "training_config": training, "verification": verification}
    (folder / "study.yml").write_text(yaml.safe_dump(study))
    play(inventory, "playbooks/tune.yml", study=str(folder / "study.yml"), output=str(folder), seed=seed)
    result: dict[str, Any] = json.loads((folder / name / "result.json").read_text())
    return result


def experts_with_bbr(parameters: set[str]) -> dict[str, Values]:
    """Expert settings of the study's parameters, with bbr added."""
    found: dict[str, Values] = {}
    for name, settings in EXPERT_SETTINGS.items():
        if values := {parameter: value for parameter, value in settings.items() if parameter in parameters}:
            found[f"{name}, with bbr"] = {**values, **BBR}
    return found


def compare(arguments: argparse.Namespace, inventory: str, sets: Mapping[str, Values]) -> list[dict[str, Any]]:
    """The rows of these sets, the original values and the published expert settings."""
    folder = arguments.output / "comparison"
    return experts.measured(WAN / "study.yml", inventory, sets, arguments.rounds, folder)


def effects(arguments: argparse.Namespace, inventory: str) -> None:
    """Print what each parameter does, and write it to effects.json, in the form of docs/figures."""
    changes = {**EFFECTS, **TOO_SMALL}
    beside_bbr = {f"bbr, {name}": {**BBR, **values} for name, values in changes.items()}
    measured = compare(arguments, inventory, {"bbr": BBR, **changes, **beside_bbr})
    columns = ["change", "alone, Mbit/s", "against original values (95 %)", "beside bbr, Mbit/s", "against bbr (95 %)"]
    rounds = Rounds(measured)
    rows = [
        ["none", f"{rounds.mean(ORIGINAL):.2f}", "", f"{rounds.mean('bbr'):.2f}", ""],
        ["bbr", f"{rounds.mean('bbr'):.2f}", rounds.against("bbr", ORIGINAL), "", ""],
        *(
            [
                name,
                f"{rounds.mean(name):.2f}",
                rounds.against(name, ORIGINAL),
                f"{rounds.mean(f'bbr, {name}'):.2f}",
                rounds.against(f"bbr, {name}", "bbr"),
            ]
            for name in changes
        ),
    ]
    noise = (
        f"Coefficient of variation: original values {rounds.variation(ORIGINAL):.1%}, bbr {rounds.variation('bbr'):.1%}"
    )
    about = f"{arguments.rounds} rounds on {len(rounds.hosts)} hosts at the same time. {noise}."
    figures = {"command": "./dev bench-wan --effects", "about": about, "columns": columns, "rows": rows}
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "effects.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\n{tables.markdown(columns, rows)}\n\n{about}")


class Rounds:
    """What was measured, in Mbit/s, compared within rounds and hosts."""

    def __init__(self, measured: Sequence[dict[str, Any]]) -> None:
        self._figures = {(row["name"], row["host"], row["round"]): row["metric"] for row in measured}
        self._blocks = sorted({(host, number) for dummy, host, number in self._figures})
        self.names = list(dict.fromkeys(row["name"] for row in sorted(measured, key=lambda row: row["round"])))
        self.hosts = sorted({host for host, dummy in self._blocks})

    def of(self, name: str, host: str | None = None) -> list[float]:
        return [
            metric
            for (contestant, where, dummy), metric in self._figures.items()
            if contestant == name and host in (where, None) and metric
        ]

    def mean(self, name: str) -> float:
        """The geometric mean; 0 where every run failed."""
        return math.exp(fmean(math.log(metric) for metric in self.of(name))) if self.of(name) else 0.0

    def variation(self, name: str) -> float:
        """The coefficient of variation on a host, of the host where it is largest."""
        return max(stdev(self.of(name, host)) / fmean(self.of(name, host)) for host in self.hosts)

    def against(self, name: str, other: str) -> str:
        pairs = [(self._figures.get((name, *block)), self._figures.get((other, *block))) for block in self._blocks]
        ratios = {number: math.log(a / b) for number, (a, b) in enumerate(pairs) if a and b}
        gap = tables.difference(dict.fromkeys(ratios, 0.0), ratios)
        if name == other or gap is None:
            return ""
        median, low, high = (f"{math.expm1(value):+.1%}" for value in (gap.middle, gap.low, gap.high))
        return f"{median} ({low} to {high})"


def table(measured: Sequence[dict[str, Any]], results: Mapping[str, Any]) -> str:
    """Each contestant compared with the original values and with our winner, paired by round and host."""
    rounds = Rounds(measured)
    lines = [
        [
            name,
            f"{rounds.mean(name):.1f}",
            rounds.against(name, ORIGINAL),
            rounds.against(name, "ppo"),
            results[name]["verdict"] if name in results else "",
            str(len(rounds.of(name))),
        ]
        for name in sorted(rounds.names, key=rounds.mean, reverse=True)
    ]
    head = ["values", "Mbit/s", f"against {ORIGINAL} (95 %)", "against ppo (95 %)", "verdict of its study", "runs"]
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


def roles(arguments: argparse.Namespace, inventory: str) -> None:
    """Print what each seed's role has, and write it to roles.json, in the form of docs/figures."""
    rows = []
    for seed in range(arguments.seed, arguments.seed + arguments.roles):
        folder = arguments.output / f"roles-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        play(inventory, "playbooks/tune.yml", study=str(WAN / "study.yml"), output=str(folder), seed=seed)
        result = json.loads((folder / "wan" / "result.json").read_text())
        rows.append([str(seed), result["verdict"], gain(result), in_words(learned_values(result))])
    columns = ["seed", "verdict", "gain (95 %), pairs", "values in the role"]
    figures = {"command": f"./dev bench-wan --roles {arguments.roles}", "columns": columns, "rows": rows}
    (arguments.output / "roles.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\n{tables.markdown(columns, rows)}")


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
