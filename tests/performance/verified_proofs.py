# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Simulated proofs to their end: verdict, interval and carry-over. Writes docs/figures/proof_verification.json.

    python tests/performance/verified_proofs.py [--proofs 1000] [--processes 2] [--minutes 60]

The trainer's own code proves a candidate on 1, 2 or 4 hosts in turn, in noise of 3 %. Finished proofs are kept in
build/verified-proofs and are not repeated unless the code has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from ansible_collections.autotune.kernel.plugins.plugin_utils._proof.verification import verify  # noqa: E402
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study  # noqa: E402
from ansible_collections.autotune.kernel.plugins.plugin_utils._trial.trial import State, Trial  # noqa: E402

ROWS = ROOT / "build/verified-proofs/proofs.jsonl"
HOSTS = (1, 2, 4)
BENCHMARK = 10.0  # seconds


@dataclass(frozen=True)
class Case:
    """gain: of the candidate. noise: standard deviation. leftover: by how much a run of the candidate slows the next.

    fades: seconds in which a leftover falls to a third; the benchmark itself does not count. troubled: hosts drift, and
    their noise has heavy tails.
    """

    name: str
    gain: float = 0.0
    noise: float = 0.03
    leftover: float = 0.0
    fades: float = math.inf
    troubled: bool = False


CASES = [
    Case("no improvement"),
    Case("no improvement; drift and heavy tails", troubled=True),
    Case("3 % improvement", 0.03),
    Case("5 % improvement", 0.05),
    Case("5 % improvement; drift and heavy tails", 0.05, troubled=True),
    Case("10 % improvement", 0.10),
    Case("10 % improvement, 10 % noise", 0.10, noise=0.10),
    Case("30 % improvement", 0.30),
    Case("10 % improvement, 5 % carry-over", 0.10, leftover=0.05),
    Case("10 % improvement, 5 % carry-over that fades in 5 s", 0.10, leftover=0.05, fades=5.0),
    Case("30 % improvement, 5 % carry-over", 0.30, leftover=0.05),
]


def version() -> str:
    rooms = ROOT / "plugins/plugin_utils/_proof"
    names = ("bounds", "carry_over", "estimate", "pairing", "sequential_test", "verification")
    content = "".join((rooms / f"{name}.py").read_text() for name in names) + repr(CASES)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


VERSION = version()


class Bench:
    """Simulated hosts, on which a run of the candidate leaves something behind."""

    def __init__(self, case: Case, seed: int) -> None:
        self._case, self._random = case, np.random.default_rng([seed, 99])
        self._leftover: dict[str, float] = {}
        self._levels: dict[str, float] = {}

    def __call__(self, pending: Sequence[Trial]) -> list[Trial]:
        return [self._run(trial) for trial in pending]

    def _run(self, trial: Trial) -> Trial:
        case, host = self._case, trial.host
        noise = case.noise * self._random.normal()
        if case.troubled:
            noise *= 5 if self._random.random() < 0.02 else 1
            self._levels[host] = self._levels.get(host, 0.0) + case.noise / 5 * self._random.normal()
        fading = math.exp(-trial.pause / case.fades)
        performance = self._levels.get(host, 0.0) + noise - self._leftover.get(host, 0.0) * fading
        self._leftover[host] = 0.0 if trial.original else math.log1p(case.leftover)
        gain = 0.0 if trial.original else math.log1p(case.gain)
        return replace(
            trial,
            state=State.COMPLETE,
            metric=100 * math.exp(performance + gain),
            seconds={"benchmark": BENCHMARK, "pause": trial.pause},
        )


def study() -> Study:
    return Study.model_validate(
        {
            "workload_name": "verified",
            "reward_metric": "metric",
            "benchmark_command": "true",
            "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100}],
        }
    )


def proved(at: int, seed: int) -> dict[str, Any]:
    case = CASES[at]
    hosts = [f"h{number}" for number in range(HOSTS[seed % len(HOSTS)])]
    proof = verify({"vm.swappiness": 90}, hosts, Bench(case, seed), study(), seed=seed)
    found = [each.found for each in proof.carry_over]
    return {
        "case": case.name,
        "seed": seed,
        "version": VERSION,
        "hosts": len(hosts),
        "improved": proof.improved,
        "decided_after": proof.decided_after,
        "pairs": len(proof.evidence),
        "improvement": proof.improvement,
        "interval": proof.interval,
        "tests": found,
        "decided_once": any(each.z >= each.efficacy_bound for each in proof.interim_analyses),
        "reason": proof.reason,
    }


def row(case: Case, proofs: Sequence[Mapping[str, Any]]) -> list[str]:
    improved = [proof for proof in proofs if proof["improved"]]
    truth, intervals = 100 * case.gain, [proof["interval"] for proof in improved]
    covered = sum(low <= truth <= high for low, high in intervals)
    useful = sum(high - low <= proof["improvement"] / 2 for proof, (low, high) in zip(improved, intervals, strict=True))
    tested = [proof for proof in proofs if proof["decided_once"] and proof["tests"]]
    found = sum(proof["tests"][0] for proof in tested)
    few = len(improved) < 20
    return [
        case.name,
        str(len(proofs)),
        f"{len(improved) / len(proofs):.1%}",
        "" if few else f"{median(proof['decided_after'] for proof in improved):.0f}",
        "" if few else f"{median(proof['pairs'] for proof in improved):.0f}",
        "" if few else f"{useful / len(improved):.0%}",
        "" if few or case.leftover else f"{covered / len(improved):.1%}",
        f"{found / len(tested):.1%} of {len(tested)}" if tested else "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proofs", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=120)
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    known: dict[tuple[str, int], dict[str, Any]] = {}
    for line in ROWS.read_text().splitlines() if ROWS.exists() else ():
        proof = json.loads(line)
        if proof["version"] == VERSION:
            known[proof["case"], proof["seed"]] = proof
    wanted = [(at, seed) for seed in range(arguments.proofs) for at in range(len(CASES))]
    new = [each for each in wanted if (CASES[each[0]].name, each[1]) not in known]
    with ROWS.open("a") as file, ProcessPoolExecutor(arguments.processes) as pool:
        for start in range(0, len(new), 8 * arguments.processes):
            if time.monotonic() > until:
                break
            for proof in pool.map(proved, *zip(*new[start : start + 8 * arguments.processes], strict=True)):
                known[proof["case"], proof["seed"]] = proof
                file.write(json.dumps(proof) + "\n")
                file.flush()
    proofs = {case.name: [proof for proof in known.values() if proof["case"] == case.name] for case in CASES}
    found = {
        "command": "python tests/performance/verified_proofs.py",
        "about": "Simulated proofs on 1, 2 or 4 hosts in turn, 3 % noise unless it says otherwise.",
        "columns": [
            "simulated proofs",
            "number",
            "`improved`",
            "pairs to the verdict, median",
            "pairs in all, median",
            "interval at most half of the gain",
            "interval covers the truth",
            "carry-over found, where there was a decision",
        ],
        "rows": [row(case, proofs[case.name]) for case in CASES if proofs[case.name]],
    }
    path = ROOT / "docs/figures/proof_verification.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for each in found["rows"]:
        print(" | ".join(each))


if __name__ == "__main__":
    main()
