# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Tunes workloads of benchmarks/ for real, and measures their roles afresh: `./dev workloads [NAME ...]`.

For each workload and seed a whole study, on this machine by default; then the learned values beside the hosts' own and
expert settings, in rounds of random order. Writes docs/figures/workload_NAME.json, which the workload's README shows;
rows of other seeds stay in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
from ansible_collections.autotune.kernel.tests.performance import experts  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner import tables  # noqa: E402

WORKLOADS = ("web", "redis", "postgres", "fio", "latency", "scheduler")
COLUMNS = ["seed", "noise", "verdict", "gain (95 %), pairs", "learned values", "measured afresh (95 %)", "minutes"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), help="default: all")
    parser.add_argument("--inventory", default="inventories/local", help="(%(default)s)")
    parser.add_argument("--seeds", default="1,2", help="comma-separated (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="of the comparison afterwards (%(default)s)")
    arguments = parser.parse_args()
    for workload in arguments.workloads:
        rows = [
            row_of(workload, int(seed), arguments.inventory, arguments.rounds) for seed in arguments.seeds.split(",")
        ]
        path = ROOT / f"docs/figures/workload_{workload}.json"
        known = json.loads(path.read_text())["rows"] if path.exists() else []
        rows = list({row[0]: row for row in [*known, *rows]}.values())  # a seed that is run again replaces its row
        figures = {"command": f"./dev workloads {workload}", "columns": COLUMNS, "rows": rows}
        path.write_text(json.dumps(figures, indent=2) + "\n")
        print(f"\n**{workload}**\n\n{tables.markdown(COLUMNS, rows)}", flush=True)


def row_of(workload: str, seed: int, inventory: str, rounds: int) -> list[str]:
    """Run the study with this seed, and compare what it learned."""
    output = ROOT / f"build/workloads/{seed}"
    shutil.rmtree(output / workload, ignore_errors=True)
    study = ROOT / f"benchmarks/{workload}/study.yml"
    variables = {"study": str(study), "output": str(output), "seed": seed, "install": True}
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, "playbooks/tune.yml"]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"}
    began = time.monotonic()
    subprocess.run([*command, "-e", json.dumps(variables)], check=True, cwd=ROOT, env=environment)
    minutes = (time.monotonic() - began) / 60
    result = json.loads((output / workload / "result.json").read_text())
    learned = learned_values(result)
    afresh = ""
    if learned:
        measured = experts.measured(study, inventory, experts.with_role(learned), rounds, output / workload)
        print(f"\n{experts.table(measured)}", flush=True)
        afresh = experts.against_original(measured, experts.LEARNED)
    noise = result["noise"]["cv_percent"] if result.get("noise") else None
    return [
        str(seed),
        "" if noise is None else f"{noise:.1f} %",
        result["verdict"],
        gain(result),
        in_words(learned),
        afresh,
        f"{minutes:.1f}",
    ]


def learned_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the role; none if there is no role."""
    return dict(result["best_config"]) if result["verdict"] == "improved" else {}


def in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name} {value}`" for name, value in values.items())


def gain(result: Mapping[str, Any]) -> str:
    if result["improvement"] is None:
        return result["reason"]
    low, high = result["interval"] or (float("nan"), float("nan"))
    return f"{result['improvement']:+.1f} % ({low:+.1f} to {high:+.1f}), {result['pairs']}"


if __name__ == "__main__":
    main()
