from __future__ import annotations

# A result.json with what the client reads of it.
RESULT = {
    "workload_name": "sensor",
    "verdict": "improved",
    "metric": "throughput",
    "best_config": {"vm.swappiness": 10},
    "improvement": 10.0,
    "interval": [8.0, 12.0],
    "baseline": {"metric": 100.0, "original_values": {"vm.swappiness": "60"}},
    "best": {"metric": 110.0},
    "per_host": {"web1": {"original_values": {"vm.swappiness": "60"}, "baseline_metric": 100.0}},
}
