"""With real signals, in processes of their own: the handlers belong to the whole process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

HEAD = """
import os, signal, sys, time
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.interrupt import RunInterrupted, Interrupts

def send(number):
    os.kill(os.getpid(), number)

interrupts = Interrupts()
"""


def run(text: str) -> str:
    """What the Python text prints."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, "-c", HEAD + text],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_raises_at_once_where_it_is_allowed(number: str) -> None:
    assert (
        run(f"""
try:
    with interrupts.allowed():
        send(signal.{number})
        print("not reached")
except RunInterrupted as interruption:
    print(interruption)
""")
        == f"stopped by {number}"
    )


def test_waits_for_a_safe_point() -> None:
    assert run("""
send(signal.SIGINT)
print("the values are written")
try:
    with interrupts.allowed():
        print("not reached")
except RunInterrupted as interruption:
    print(interruption)
""").splitlines() == ["the values are written", "stopped by SIGINT"]


def test_never_raises_a_second_time() -> None:
    """Ansible sends SIGINT, then SIGTERM, which must not interrupt the restore."""
    assert (
        run("""
try:
    with interrupts.allowed():
        send(signal.SIGINT)
except RunInterrupted as interruption:
    send(signal.SIGTERM)
    send(signal.SIGINT)
    with interrupts.allowed():
        send(signal.SIGHUP)
        print("restored")
""")
        == "restored"
    )


def test_interrupts_a_blocking_call() -> None:
    assert (
        run("""
import threading
threading.Timer(0.2, send, (signal.SIGTERM,)).start()
try:
    with interrupts.allowed():
        while True:
            time.sleep(60)
except RunInterrupted as interruption:
    print(interruption)
""")
        == "stopped by SIGTERM"
    )


def test_nested_places_are_safe_until_the_outermost_ends() -> None:
    assert run("""
try:
    with interrupts.allowed():
        with interrupts.allowed():
            pass
        send(signal.SIGINT)
        print("not reached")
except RunInterrupted as interruption:
    print(interruption)
send(signal.SIGINT)
print("goes on")
""").splitlines() == ["stopped by SIGINT", "goes on"]


def test_sigterm_ends_python_without_the_handlers() -> None:
    """A check of the tests above."""
    process = subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"], check=False)
    assert process.returncode == -signal.SIGTERM
