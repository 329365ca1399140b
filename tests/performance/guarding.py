# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How often the guard phase errs, on simulated hosts that drift; takes minutes. Writes docs/figures/proof_guards.json.

Each study guards one other workload, with may_worsen: 3. A loss is planted in one value; the study's own workload gains
10 % from each value. Harm is done if the harmful value would be in the role.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "playbooks/collections"), str(ROOT / "tests/unit/proof")]

from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.harm import without_harm  # noqa: E402
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study  # noqa: E402
from scipy.stats import binomtest  # noqa: E402
from simulated import Hosts  # noqa: E402

STUDIES, HOSTS, HARMFUL = 100, ("h1", "h2"), "net.core.p0"
# (per cent lost, on which hosts, values, noise)
CASES = [
    (0.0, HOSTS, 1, 0.01),
    (0.0, HOSTS, 1, 0.03),
    (0.0, HOSTS, 3, 0.01),
    (5.0, HOSTS, 1, 0.01),
    (5.0, HOSTS, 1, 0.03),
    (5.0, HOSTS, 1, 0.1),
    (5.0, HOSTS[1:], 1, 0.01),
    (5.0, HOSTS[1:], 1, 0.03),
    (5.0, HOSTS, 3, 0.01),
    (5.0, HOSTS, 3, 0.03),
]


def row(loss: float, places: tuple[str, ...], count: int, noise: float) -> list[str]:
    names = [f"net.core.p{at}" for at in range(count)]
    study = Study.model_validate(
        {
            "workload_name": "send",
            "reward_metric": "metric",
            "benchmark_command": "true",
            "action_space": [{"param": name, "min": 0, "max": 9} for name in names],
            "guard_benchmarks": [{"name": "other", "benchmark_command": "true", "metric": "metric", "may_worsen": 3}],
        }
    )

    def gain(values: Mapping[str, object], host: str) -> float:
        return sum(math.log1p(0.1) for name in names if values.get(name) == 9)

    def harm(values: Mapping[str, object], host: str) -> float:
        return -math.log1p(loss / 100) if values.get(HARMFUL) == 9 and host in places else 0.0

    roles, trials = [], []
    for seed in range(STUDIES):
        hosts = Hosts(gain, noise=noise, drift=True, seed=seed, benchmarks={"other": harm})
        originals = {host: dict.fromkeys(names, 0) for host in HOSTS}
        found = without_harm(dict.fromkeys(names, 9), HOSTS, originals, hosts.measure, study, seed=seed)
        roles.append(set() if found.reason else set(found.values))
        trials.append(len(hosts.trials))
    harmful = sum(HARMFUL in role for role in roles)
    interval = binomtest(harmful, STUDIES).proportion_ci()
    shown = f"{harmful / STUDIES:.1%} ({interval.low:.1%} to {interval.high:.1%})"
    where = "" if len(places) == len(HOSTS) else " on one host"
    return [
        f"{loss:g} % worse{where}" if loss else "no effect",
        f"{count}",
        f"{noise:.0%}",
        shown if loss else "-",
        f"{sum(len(role) == count - bool(loss) for role in roles) / STUDIES:.1%}" if not loss or count > 1 else "-",
        f"{fmean(trials) / 2:.0f}",
    ]


def main() -> None:
    found = {
        "command": "python tests/performance/guarding.py",
        "about": f"Simulated guard phases on two hosts that drift, 40 pairs at most, limit 3 %, {STUDIES} of each.",
        "columns": [
            "planted effect",
            "values",
            "noise",
            "harmful value in the role",
            "all others in it",
            "pairs",
        ],
        "rows": [row(*case) for case in CASES],
    }
    path = ROOT / "docs/figures/proof_guards.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
