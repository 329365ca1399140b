# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Error rates of the proof on one simulated host; takes a minute. Writes docs/figures/proof_one_host.json.

`./dev bench-learner` simulates whole studies; this is the proof alone, also in drifting and heavy-tailed noise.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "playbooks/collections"), str(ROOT / "tests/unit/proof")]

from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.sequential_test import prove  # noqa: E402
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study  # noqa: E402
from simulated import Hosts  # noqa: E402

PROOFS, NOISE = 300, 0.03
CASES = [
    (f"{gain or 'no'}{' %' if gain else ''} improvement{trouble}", gain, bool(trouble))
    for gain in (0, 5)
    for trouble in ("", "; drift, cycles, heavy tails, varying noise")
]


def row(name: str, gain: float, drift: bool) -> list[str]:
    study = Study.model_validate(
        {
            "workload_name": "one-host",
            "reward_metric": "metric",
            "benchmark_command": "true",
            "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100}],
        }
    )
    proofs = []
    for seed in range(PROOFS):
        hosts = Hosts(
            lambda values, host: math.log1p(gain / 100) if values else 0.0, noise=NOISE, drift=drift, seed=seed
        )
        proofs.append(prove({"vm.swappiness": 90}, ("h1",), hosts.measure, study, seed=seed))
    improved = sum(proof.improved for proof in proofs) / PROOFS
    return [name, f"{improved:.1%}", f"{fmean(len(proof.evidence) for proof in proofs):.0f}"]


def main() -> None:
    found = {
        "command": "python tests/performance/one_host_proofs.py",
        "about": f"Simulated proofs on one host, {NOISE:.0%} noise, {PROOFS} of each.",
        "columns": ["simulated proofs", "`improved`", "pairs, mean"],
        "rows": [row(*case) for case in CASES],
    }
    path = ROOT / "docs/figures/proof_one_host.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
