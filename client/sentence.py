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
    "scheduler": "scheduling hackbench threads processes cpu context-switches switches wakeups pipes",
    "wan": "bandwidth download upload transfer transfers long-distance congestion bbr",
    "web": "nginx http https webserver website requests wrk apache",
}
WORDS = {name: frozenset([name, *words.split()]) for name, words in _NAMES.items()}
PROGRAMS = frozenset(
    ["fio", "postgres", "postgresql", "pgbench", "redis", "valkey", "hackbench", "nginx", "apache", "wrk"]
)
# What the words after these are not about; to tell which takes more than words.
EXCEPTIONS = frozenset(
    ["not", "no", "never", "except", "excluding", "without", "but", "don", "dont", "avoid", "skip", "other", "instead"]
)
_COMPOUND = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Understood:
    """What a sentence speaks of. workloads: those with most of its words; words: the words that decided. exception:
    the first word that takes something out again, if there is one."""

    workloads: list[str]
    words: list[str]
    exception: str | None = None


def understand(sentence: str, known: Collection[str]) -> Understood:
    """The workloads among `known` of which most words occur in the sentence; several if it is ambiguous, or none.

    The name of a program counts as three words.
    """
    words = _words(sentence)
    found = {name: [word for word in words if word in WORDS.get(name, {name})] for name in known}
    weights = {name: sum(3 if word in PROGRAMS else 1 for word in matches) for name, matches in found.items()}
    best = sorted(name for name, weight in weights.items() if weight and weight == max(weights.values()))
    exception = next((word for word in words if word in EXCEPTIONS), None)
    return Understood(best, list(dict.fromkeys(word for name in best for word in found[name])), exception)


def _words(sentence: str) -> list[str]:
    """The words in small letters, in order; of a compound that is no name, such as memory-intensive, its parts."""
    names = frozenset().union(*WORDS.values())
    compounds = _COMPOUND.findall(sentence.casefold())
    parts = (word for compound in compounds for word in ([compound] if compound in names else compound.split("-")))
    return list(dict.fromkeys(parts))
