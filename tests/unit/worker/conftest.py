"""A context whose host is this machine and only records its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker import repetition
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import Benchmark
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.trial_runner import ApplyFailed, HostContext


class Never:
    """No interrupts."""

    allowed = nullcontext


NEVER: Any = Never()


class FakeHost:
    """Records what is applied, clamps vm.swappiness to 50, rejects the values in `refused`."""

    def __init__(self) -> None:
        self.applied: list[dict[str, Any]] = []
        self.refused: list[int] = []
        self.interference: str | None = None
        self.restored = 0

    def apply(self, values: Mapping[str, Any], guard_benchmark: str | None = None) -> dict[str, str]:
        if values["vm.swappiness"] in self.refused:
            raise ApplyFailed("vm.swappiness: 13 was not taken: Invalid argument")
        self.applied.append(dict(values))
        return {"vm.swappiness": str(min(int(values["vm.swappiness"]), 50))}

    def restore(self) -> str:
        self.restored += 1
        return "original values restored and verified"


@pytest.fixture(autouse=True)
def _no_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other virtual machines may disturb the tests' own trials, which are counted."""
    monkeypatch.setattr(repetition, "_STOLEN", 2.0)


@pytest.fixture
def repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repetition, "_STOLEN", 0.05)


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
        study, transport = Study.model_validate({**content, **fields}), LocalTransport()
        own, *guards = (Benchmark(transport, {}, 240) for dummy in range(1 + len(study.guard_benchmarks)))
        for benchmark in (own, *guards):
            benchmark.copy([])
            benchmarks.append(benchmark)
        return HostContext(
            host="h1",
            study=study,
            apply=host.apply,
            renew=host.apply,
            restore=host.restore,
            interference=lambda kept: host.interference,
            transport=transport,
            benchmark=own,
            guard_benchmarks={each.name: one for each, one in zip(study.guard_benchmarks, guards, strict=True)},
            connect_seconds=0.25,
        )

    yield make
    for benchmark in benchmarks:
        benchmark.remove()
