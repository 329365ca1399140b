"""Whatever is called in whatever order, with writes failing in between: the end state is the start state."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _dropin, _journal, _lease, _persist, _watchdog
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure
from hypothesis import given, settings
from hypothesis import strategies as st

NAME = "90-x"

values = st.dictionaries(
    st.sampled_from(
        [
            "vm.swappiness",
            "vm.dirty_bytes",
            "vm.dirty_ratio",
            "vm.dirty_background_bytes",
            "vm.dirty_background_ratio",
            "net.core.somaxconn",
            "net.ipv4.ipfrag_low_thresh",
            "net.ipv4.ipfrag_high_thresh",
        ]
    ),
    st.sampled_from(["0", "1", "5", "15", "60", "201", "70000", "3500000", "8388608", "x"]),
    min_size=1,
    max_size=4,
)
holders = st.sampled_from(["anna", "bert"])
steps = st.one_of(
    st.tuples(st.just("lend"), holders, values),
    st.tuples(st.just("give_back"), st.none() | holders),
    st.tuples(st.just("keep"), st.none() | holders, values),
    st.tuples(st.just("roll_back"), st.none() | holders),
    st.tuples(st.just("expire")),
    st.tuples(st.just("watchdog")),
    st.tuples(st.just("fail_once"), st.integers(1, 4), st.sampled_from([errno.EIO, errno.EINVAL, errno.EPERM])),
)


def fail_once(kernel: Any, countdown: int, error: int) -> None:
    """Let one write, so many from now, fail."""
    left = [countdown]

    def refuse(dummy_parameter: str, dummy_text: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(error, os.strerror(error))

    kernel.refuse = refuse


def run_out() -> None:
    lease = _journal.read()
    if lease:
        _journal.write(replace(lease, deadline=_journal.now() - 1))


def watch() -> None:
    lease = _journal.read()
    if lease is None or lease.is_expired:
        _watchdog.watch(os.open(os.devnull, os.O_RDONLY))


def take(step: tuple[Any, ...], kernel: Any) -> None:
    name, *arguments = step
    if name == "lend":
        _lease.acquire(arguments[1], arguments[0], 60)
    elif name == "keep":
        _persist.apply(arguments[1], arguments[0], NAME)
    elif name == "give_back":
        _lease.release(*arguments)
    elif name == "roll_back":
        _persist.roll_back(NAME, *arguments)
    elif name == "fail_once":
        fail_once(kernel, *arguments)
    else:
        {"expire": run_out, "watchdog": watch}[name]()


dirty_pairs = st.sampled_from(
    [
        {},
        {"vm.dirty_bytes": "8388608", "vm.dirty_ratio": "0"},
        {"vm.dirty_background_bytes": "4096", "vm.dirty_background_ratio": "0"},
        {"vm.dirty_ratio": "0"},
    ]
)


@pytest.mark.takes_seconds
@settings(max_examples=150, deadline=None)
@given(start=dirty_pairs, sequence=st.lists(steps, max_size=12))
def test_ends_in_the_start_state(
    new_kernel: Callable[[], Any], start: dict[str, str], sequence: list[tuple[Any, ...]]
) -> None:
    with new_kernel() as kernel:
        for parameter, value in start.items():
            kernel.put(parameter, value)
        found = kernel.values()
        for step in sequence:
            before, lease = kernel.values(), _journal.read()
            refused = None
            try:
                take(step, kernel)
            except Failure as failure:
                refused = failure
            if refused:
                assert refused.restored, "a write that fails once is tried again"
                if lease is None or not lease.is_expired:
                    assert kernel.values() == before, "all or nothing"
        kernel.refuse = lambda parameter, text: None
        _lease.release()
        _persist.roll_back(NAME)
        assert kernel.values() == found
        assert _journal.read() is None
        assert _dropin.take(NAME) is None
        with contextlib.suppress(FileNotFoundError):
            assert sorted(os.listdir(_journal.RUN_DIRECTORY)) in (["lock"], ["lock", "verdict.json"])
