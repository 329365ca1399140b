"""A result as the trainer writes it, to be bent by the tests."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def improved() -> dict[str, Any]:
    """The raw form of an improved result."""
    return {
        "format": 1,
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
                "evaluations": 30,
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
        "evaluations": {"baseline": 4, "train": 50, "verify": 4, "failed": 1, "total": 58},
        "seconds": {"total": 312.5, "apply": 20.25},
        "parameters": [
            {
                "param": "net.ipv4.tcp_congestion_control",
                "description": "How TCP paces",
                "original": {"h1": "reno", "h2": "reno"},
                "learned": "bbr",
                "contribution": None,
                "interval": None,
            },
            {
                "param": "vm.swappiness",
                "description": "",
                "original": {"h1": "60", "h2": "30"},
                "learned": 10,
                "contribution": None,
                "interval": None,
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
