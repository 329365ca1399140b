# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.autotune.kernel.client.library import workloads
from ansible_collections.autotune.kernel.client.sentence import WORDS, understand
from hypothesis import given
from hypothesis import strategies as st

LIBRARY = [workload.name for workload in workloads()]


@pytest.mark.parametrize(
    ("sentence", "workload"),
    [
        ("Optimize my system for memory-intensive workloads", "memory"),
        ("make nginx answer more requests", "web"),
        ("I run PostgreSQL; tune it!", "postgres"),
        ("lower the p99 latency of my service", "latency"),
        ("our REDIS", "redis"),
        ("faster transfers over a long-distance link", "wan"),
        ("many processes that wait for each other: scheduling", "scheduler"),
        ("writes to an nvme disk", "fio"),
        ("loopback sockets", "network"),
        ("too many context switches", "scheduler"),
    ],
)
def test_finds_the_workload(sentence: str, workload: str) -> None:
    assert understand(sentence, LIBRARY).workloads == [workload]


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("tune everything except memory", "except"),
        ("do not tune the network", "not"),
        ("don't touch the disks", "don"),
        ("the web server, but not its sockets", "but"),
        ("no redis, tune the disk", "no"),
        ("avoid nginx and tune postgres", "avoid"),
        ("tune everything other than nginx", "other"),
        ("less swapping", None),
    ],
)
def test_what_is_taken_out_again_is_noticed(sentence: str, word: str | None) -> None:
    assert understand(sentence, LIBRARY).exception == word


def test_a_program_outweighs_other_words() -> None:
    assert understand("redis with many sockets and packets", LIBRARY).workloads == ["redis"]


def test_says_which_words_decided() -> None:
    assert understand("a database on a fast disk, with transactions", LIBRARY).words == ["database", "transactions"]


@pytest.mark.parametrize("sentence", ["make it faster", "", "!?", "the memorable fiord", "tune kafka throughput"])
def test_what_names_nothing_is_not_guessed(sentence: str) -> None:
    assert understand(sentence, LIBRARY).workloads == []


def test_what_names_two_is_ambiguous() -> None:
    assert understand("postgres and redis", LIBRARY).workloads == ["postgres", "redis"]
    assert understand("a disk and a database", LIBRARY).workloads == ["fio", "postgres"]
    assert understand("an in-memory database", LIBRARY).workloads == ["postgres", "redis"]
    assert understand("reduce tail latency for http requests", LIBRARY).workloads == ["latency", "web"]


def test_every_workload_has_words_and_no_word_two_workloads() -> None:
    assert sorted(WORDS) == LIBRARY
    counts = Counter(word for words in WORDS.values() for word in words)
    assert [word for word, count in counts.items() if count > 1] == []


@given(st.text())
def test_any_text_is_a_sentence(text: str) -> None:
    assert set(understand(text, LIBRARY).workloads) <= set(LIBRARY)
