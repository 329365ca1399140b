from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.batch import join_batch

HOSTS = [f"h{at}" for at in range(1, 9)]


def test_a_failed_host_does_not_split_the_batch(tmp_path: Path) -> None:
    begun = [join_batch(tmp_path / "task", host, HOSTS) for host in HOSTS[:5]]
    left = [host for host in HOSTS if host != "h2"]  # it failed, and Ansible has taken it out
    begun += [join_batch(tmp_path / "task", host, left) for host in HOSTS[5:]]
    assert {batch.folder for batch in begun} == {tmp_path / "task" / "0"}
    assert all(batch.hosts == HOSTS for batch in begun)
    assert [batch.first for batch in begun] == [True] + 7 * [False]


def test_a_host_that_failed_before_joining_is_not_in_the_batch(tmp_path: Path) -> None:
    left = HOSTS[1:]
    begun = [
        join_batch(tmp_path / "task", host, present) for host, present in [("h6", left), ("h3", HOSTS), ("h2", HOSTS)]
    ]
    assert {(batch.folder, tuple(batch.hosts)) for batch in begun} == {(tmp_path / "task" / "0", tuple(left))}


def test_each_batch_and_each_task_is_a_separate_study(tmp_path: Path) -> None:
    one, other = HOSTS[:4], HOSTS[4:]
    begun = [join_batch(tmp_path / "task", host, batch) for batch in (one, other) for host in batch]
    assert [batch.folder.name for batch in begun] == 4 * ["0"] + 4 * ["1"]
    assert [list(batch.hosts) for batch in begun] == 4 * [one] + 4 * [other]
    assert sum(batch.first for batch in begun) == 2
    assert join_batch(tmp_path / "next", "h1", HOSTS).first


def test_exactly_one_of_simultaneous_workers_is_the_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda host: join_batch(tmp_path / "task", host, HOSTS), HOSTS))
    assert {batch.folder.name for batch in begun} == {"0"}
    assert sum(batch.first for batch in begun) == 1
    assert (tmp_path / "task").stat().st_mode & 0o777 == 0o700
