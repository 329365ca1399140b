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
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.compare import ORIGINAL  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner import tables  # noqa: E402

PLAY = Path(__file__).with_name("experts.yml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", help="a folder of benchmarks/, such as web")
    parser.add_argument("--inventory", default="inventories/local", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--role", type=Path, help="folder with result.json (learned/WORKLOAD)")
    arguments = parser.parse_args()
    study = ROOT / "benchmarks" / arguments.workload / "study.yml"
    role = arguments.role or ROOT / "learned" / arguments.workload
    found = role / "result.json"
    learned = json.loads(found.read_text())["best_config"] if found.exists() else {}
    output = ROOT / "build/bench-experts" / arguments.workload
    output.mkdir(parents=True, exist_ok=True)
    variables = {
        "study": str(study),
        # Without a role, how much two equal sets differ.
        "compare": {"learned role": learned} if learned else {"original values once more": {}},
        "rounds": arguments.rounds,
        "measured_file": str(output / "measured.json"),
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", arguments.inventory, str(PLAY)]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"}
    subprocess.run([*command, "-e", json.dumps(variables)], check=True, cwd=ROOT, env=environment)
    print(f"\n{table(json.loads((output / 'measured.json').read_text()))}")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Each set of values against the hosts' own, paired by round and host, with its 95 % interval."""
    metrics = {(row["name"], row["host"], row["round"]): row["metric"] for row in rows}
    names = sorted({row["name"] for row in rows}, key=lambda name: (name != ORIGINAL, name != "learned role", name))
    lines = []
    for name in names:
        own = [(host, number) for each, host, number in metrics if each == name]
        good = [place for place in own if metrics[name, *place]]
        values = [metrics[name, *place] for place in good]
        ratios = [math.log(metrics[name, *at] / metrics[ORIGINAL, *at]) for at in good if metrics[ORIGINAL, *at]]
        mean = math.exp(fmean(map(math.log, values))) if values else 0.0
        variation = f"{stdev(values) / fmean(values):.1%}" if len(values) > 1 else ""
        lines.append(
            [name, f"{mean:.6g}", variation, "" if name == ORIGINAL else gain(ratios), f"{len(good)}/{len(own)}"]
        )
    return tables.markdown(["values", "mean", "variation", f"against {ORIGINAL} (95 %)", "runs"], lines)


def gain(ratios: Sequence[float]) -> str:
    if len(ratios) < 2:
        return ""
    middle, error = fmean(ratios), stdev(ratios) / math.sqrt(len(ratios))
    margin = error * stats.t.isf(0.025, len(ratios) - 1)
    shown = [f"{math.expm1(value):+.1%}" for value in (middle, middle - margin, middle + margin)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


if __name__ == "__main__":
    main()
