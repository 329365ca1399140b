"""Results as the trainer writes them."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def improved() -> dict[str, Any]:
    """The raw form of an improved result."""
    return {
        "format": 2,
        "workload_name": "wan-transfer",
        "verdict": "improved",
        "reason": "the interval excludes 0 and every host gained",
        "metric": "throughput_mbit",
        "direction": "maximise",
        "best_config": {
            "net.ipv4.tcp_congestion_control": "bbr",
            "net.ipv4.tcp_rmem": "4096 131072 33554432",
            "vm.swappiness": 10,
        },
        "best_reward": 0.83,
        "improvement": 130.4,
        "interval": [118.2, 141.9],
        "p_value": 0.0078,
        "confidence": 0.95,
        "pairs": 2,
        "baseline": {"metric": 153.2, "original_values": {"vm.swappiness": "60"}, "cv_percent": 3.1, "stability": None},
        "best": {"metric": 353.0, "stability": {"score": 0.96, "parts": {"variation": 0.97, "retransmits": 0.99}}},
        "per_host": {
            "h1": {
                "original_values": {"vm.swappiness": "60"},
                "baseline_metric": 150.0,
                "best_metric": 350.0,
                "improvement": 133.3,
                "pairs": 1,
                "trials": 30,
                "failures": 1,
                "kernel": "6.1.0-18",
            },
            "h2": {"original_values": {"vm.swappiness": "30"}, "baseline_metric": 156.4, "kernel": "6.1.0-18"},
        },
        "evidence": [
            {
                "host": "h1",
                "pair": 1,
                "first": "baseline",
                "baseline": 150.0,
                "candidate": 350.0,
                "log_ratio": 0.847,
                "guards": {},
            },
            {
                "host": "h2",
                "pair": 2,
                "first": "candidate",
                "baseline": 156.4,
                "candidate": 356.0,
                "log_ratio": 0.822,
                "guards": {},
            },
        ],
        "trials": {"baseline": 4, "train": 50, "verify": 4, "failed": 1, "total": 58},
        "seconds": {"total": 312.5, "apply": 20.25},
        "parameters": [
            {
                "param": "net.ipv4.tcp_congestion_control",
                "description": "How TCP paces",
                "original": {"h1": "reno", "h2": "reno"},
                "learned": "bbr",
                "contribution": None,
                "interval": None,
                "basis": None,
                "together_with": [],
                "proposed_by": "",
                "restart": False,
                "range_ends": [],
                "risks": [],
            },
            {
                "param": "vm.swappiness",
                "description": "",
                "original": {"h1": "60", "h2": "30"},
                "learned": 10,
                "contribution": None,
                "interval": None,
                "basis": None,
                "together_with": [],
                "proposed_by": "expert setting tuned-throughput-performance (trial 2)",
                "restart": False,
                "range_ends": [
                    {"element": None, "end": "lowest", "bound": 10, "gain": 2.5, "wider": 5, "at_limit": False}
                ],
                "risks": [
                    {
                        "warning": "nobody swaps any more",
                        "quote": "you _must_ not lower it",
                        "source": "https://docs.kernel.org/admin-guide/sysctl/vm.html",
                    }
                ],
            },
        ],
        "seed": 7,
        "versions": {"autotune.kernel": "0.1.0", "python": "3.11.7"},
        "started": "2026-11-22T12:00:00Z",
        "finished": "2026-11-22T12:05:12Z",
        "store": "sqlite:///autotune.sqlite",
        "study_id": 3,
        "study": {"allow_unsafe": []},
    }


PROVED = {
    "improved": True,
    "reason": "better in 4 of 4 pairs",
    "improvement": 131.0,
    "interval": [110.0, 152.0],
    "p_value": 0.001,
    "evidence": [],
    "interim_analyses": [],
}


def standing(value: int) -> dict[str, Any]:
    return {"values": {"vm.swappiness": value}, "worst_case": None, "by_host": {}, "trials": 6}


@pytest.fixture
def ablated(improved: dict[str, Any]) -> dict[str, Any]:
    """An improvement with an ablation that dropped vm.swappiness; vm.page-cluster was unchanged."""
    del improved["best_config"]["vm.swappiness"]
    bbr = {"param": "net.ipv4.tcp_congestion_control", "contribution": 80.1, "interval": [70.0, 90.0]}
    shown = {"contribution": 80.1, "interval": [70.0, 90.0], "basis": "alone"}
    improved["parameters"] = [{**improved["parameters"][0], **shown}]
    return {
        **improved,
        "interim_analyses": [
            {
                "pairs": 4,
                "improvement": 129.0,
                "interval": [60.0, 210.0],
                "z": 3.5,
                "efficacy_bound": 2.96,
                "futility_bound": 0.1,
            }
        ],
        "guard_metrics": [
            {
                "metric": "p99<ms>",
                "direction": "minimise",
                "may_worsen": 2.0,
                "change": 0.5,
                "interval": [-0.5, 1.5],
                "holds": True,
            }
        ],
        "guard_benchmarks": [
            {
                "name": "receive",
                "metric": "mbit<s>",
                "direction": "maximise",
                "may_worsen": 3.0,
                "holds": True,
                "reason": "guard benchmark receive was shown to be non-inferior",
                "change": -0.4,
                "interval": [-1.9, 1.1],
                "dropped": ["vm.dirty_ratio"],
            }
        ],
        "guard_tests": [
            {
                "benchmark": "receive",
                "params": [*params],
                "holds": holds,
                "change": -9.9,
                "interval": [-12.0, -8.0],
                "pairs": 6,
            }
            for params, holds in ((("vm.dirty_ratio",), False), (("net.ipv4.tcp_rmem",), True))
        ],
        "race": [
            {
                "values": {"vm.swappiness": 10},
                "worst_case": 99.0,
                "by_host": {"h1": 99.0, "h2": 120.0},
                "trials": 6,
            },
            {
                "values": {"vm.swappiness": 20},
                "worst_case": 9.0,
                "by_host": {"h1": 9.0},
                "trials": 4,
                "eliminated_after": 2,
            },
            {"values": {"vm.swappiness": 30}, "worst_case": None, "by_host": {}, "trials": 0, "failed": True},
        ],
        "ablation": {
            "reason": "2 of 3 changes are sufficient",
            "contributions": [
                {**bbr, "decision": "kept"},
                {"param": "net.ipv4.tcp_rmem", "contribution": 30.0, "interval": [20.0, 41.0], "decision": "kept"},
                {"param": "vm.swappiness", "contribution": 0.4, "interval": [-9.0, 9.5], "decision": "dropped"},
                {"param": "vm.page-cluster", "decision": "unchanged"},
            ],
            "contrasts": [{"host": "h1", "pair": 1, "first": ["vm.swappiness"], "second": [], "log_ratio": 0.001}],
            "all_values": PROVED,
            "fewer_values": PROVED,
        },
    }
