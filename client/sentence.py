# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Finds the workload that a sentence speaks of, by its words alone: offline, and the same every time."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

# The words by which people name a workload. One that names several is no help, and in none of them.
_NAMES = {
    "fio": "disk disks storage ssd nvme io iops writes writeback fsync filesystem files file",
    "latency": "latencies p99 tail jitter rpc roundtrip responsiveness response responses",
    "memory": "ram swap swapping paging pages cache caching reclaim",
    "network": "networking loopback socket sockets packets ipc",
    "postgres": "postgresql pgbench sql database databases transactions oltp db",
    "redis": "valkey key-value keyvalue in-memory",
    "scheduler": "scheduling hackbench threads processes cpu context-switches wakeups pipes",
    "wan": "throughput bandwidth download upload transfer transfers long-distance congestion bbr",
    "web": "nginx http https webserver website requests wrk apache",
}
WORDS = {name: frozenset([name, *words.split()]) for name, words in _NAMES.items()}
_COMPOUND = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Understood:
    """What a sentence speaks of. workloads: those with most of its words; words: the words that decided."""

    workloads: list[str]
    words: list[str]


def understand(sentence: str, known: Collection[str]) -> Understood:
    """The workloads among `known` of which most words occur in the sentence; several if it is ambiguous, or none.

    A workload's own name decides against every other word.
    """
    words = _words(sentence)
    found = {name: [word for word in words if word in WORDS.get(name, {name})] for name in known}
    named = [name for name in known if name in words]
    candidates = named or [name for name, matches in found.items() if matches]
    most = max((len(found[name]) for name in candidates), default=0)
    best = sorted(name for name in candidates if named or len(found[name]) == most)
    return Understood(best, list(dict.fromkeys(word for name in best for word in found[name])))


def _words(sentence: str) -> list[str]:
    """The words in small letters, in order; of a compound, such as memory-intensive, also its parts."""
    compounds = _COMPOUND.findall(sentence.casefold())
    return list(dict.fromkeys(word for compound in compounds for word in (compound, *compound.split("-"))))
