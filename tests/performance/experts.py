# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Experts as a yardstick: `./dev bench-experts WORKLOAD`.

Measures the hosts' own values, every expert setting of the study's parameters and the learned role of that workload, if
there is one, side by side in rounds of random order, with the study's own benchmark and service.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.compare import ORIGINAL  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner import tables  # noqa: E402

PLAY = Path(__file__).with_name("experts.yml")
LEARNED = "learned role"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", help="a folder of benchmarks/, such as web")
    parser.add_argument("--inventory", default="inventories/local", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--role", type=Path, help="folder with result.json (learned/WORKLOAD)")
    arguments = parser.parse_args()
    found = (arguments.role or ROOT / "learned" / arguments.workload) / "result.json"
    result = json.loads(found.read_text()) if found.exists() else {"verdict": "none"}
    learned = result["best_config"] if result["verdict"] == "improved" else {}
    study = ROOT / "benchmarks" / arguments.workload / "study.yml"
    folder = ROOT / "build/bench-experts" / arguments.workload
    print(f"\n{table(measured(study, arguments.inventory, with_role(learned), arguments.rounds, folder))}")


def with_role(learned: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What is compared with the hosts' own values: a role, or without one these values once more."""
    return {LEARNED if learned else f"{ORIGINAL} once more": learned}


def measured(
    study: Path, inventory: str, sets: Mapping[str, Mapping[str, Any]], rounds: int, folder: Path
) -> list[dict[str, Any]]:
    """The rows of a comparison on all hosts: these sets of values, the hosts' own, and the expert settings."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        "study": str(study),
        "compare": sets,
        "rounds": rounds,
        "measured_file": str(folder / "measured.json"),
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, str(PLAY)]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"}
    subprocess.run([*command, "-e", json.dumps(variables)], check=True, cwd=ROOT, env=environment)
    rows: list[dict[str, Any]] = json.loads((folder / "measured.json").read_text())
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each set of values against the hosts' own, paired by round and host, with its 95 % interval."""
    names = sorted({row["name"] for row in rows}, key=lambda name: (name != ORIGINAL, name != LEARNED, name))
    lines = []
    for name in names:
        all_runs = [row["metric"] for row in rows if row["name"] == name]
        values = [metric for metric in all_runs if metric]
        mean = math.exp(fmean(map(math.log, values))) if values else 0.0
        variation = f"{stdev(values) / fmean(values):.1%}" if len(values) > 1 else ""
        lines.append([name, f"{mean:.6g}", variation, against_original(rows, name), f"{len(values)}/{len(all_runs)}"])
    return tables.markdown(["values", "mean", "variation", f"against {ORIGINAL} (95 %)", "runs"], lines)


def against_original(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """The change, paired by round and host, with its interval by Student's t; positive is better."""
    objectives = {(row["name"], row["host"], row["round"]): row["objective"] for row in rows}
    places = {(host, number) for dummy, host, number in objectives}
    pairs = [(objectives.get((name, *place)), objectives.get((ORIGINAL, *place))) for place in sorted(places)]
    ratios = [one - own for one, own in pairs if one is not None and own is not None]
    if name == ORIGINAL or len(ratios) < 2:
        return ""
    middle = fmean(ratios)
    margin = stdev(ratios) / math.sqrt(len(ratios)) * stats.t.isf(0.025, len(ratios) - 1)
    shown = [f"{math.expm1(value):+.1%}" for value in (middle, middle - margin, middle + margin)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


if __name__ == "__main__":
    main()
