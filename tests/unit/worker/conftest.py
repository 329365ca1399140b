"""A context whose host is this machine and only records its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import Benchmark
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import ApplyFailed, HostContext


class FakeHost:
    """Records what is applied, clamps vm.swappiness to 50, rejects the values in `refused`."""

    def __init__(self) -> None:
        self.applied: list[dict[str, Any]] = []
        self.refused: list[int] = []
        self.interference: str | None = None
        self.restored = 0

    def apply(self, values: Mapping[str, Any]) -> dict[str, str]:
        if values["vm.swappiness"] in self.refused:
            raise ApplyFailed("vm.swappiness: 13 was not taken: Invalid argument")
        self.applied.append(dict(values))
        return {"vm.swappiness": str(min(int(values["vm.swappiness"]), 50))}

    def restore(self) -> str:
        self.restored += 1
        return "original values restored and verified"


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def new_context(host: FakeHost) -> Iterator[Callable[..., HostContext]]:
    """Creates the context of a study with this benchmark and other fields."""
    benchmarks: list[Benchmark] = []

    def make(command: str = "echo throughput: 94.5", **fields: Any) -> HostContext:
        content = {
            "workload_name": "small",
            "reward_metric": "throughput",
            "benchmark_command": command,
            "action_space": [{"param": "vm.swappiness", "min": 0, "max": 100}],
        }
        transport = LocalTransport()
        benchmarks.append(Benchmark(transport, {}, 240))
        benchmarks[-1].copy([])
        return HostContext(
            host="h1",
            study=Study.model_validate({**content, **fields}),
            apply=host.apply,
            restore=host.restore,
            interference=lambda kept: host.interference,
            transport=transport,
            benchmark=benchmarks[-1],
            connect_seconds=0.25,
        )

    yield make
    for benchmark in benchmarks:
        benchmark.remove()
