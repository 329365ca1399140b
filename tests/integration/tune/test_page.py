# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run with its page: opened before the first trial, there when the run has ended, and obeyed meanwhile."""

from __future__ import annotations

import json
import re
import socket
import time
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils import _dashboard_process
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import store

# As the tests' usual benchmark, but once its candidate is on the host it takes its time.
SLOW = """
import time
worth = int(open("/proc/sys/net/ipv4/tcp_fin_timeout").read())
print("throughput:", worth + 1)
time.sleep(0.3 if worth == 60 else 600)
"""


class Visitor:
    """A browser that keeps its cookie and finds the form's token in the page."""

    def __init__(self, address: str) -> None:
        self._netloc, self._cookie = urlsplit(address).netloc, ""

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        connection = HTTPConnection(self._netloc, timeout=120)
        headers = {"Cookie": self._cookie}
        if form is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{self._netloc}"}
        connection.request(method, path, body=urlencode(form) if form else None, headers=headers)
        answer = connection.getresponse()
        if cookie := answer.headers.get("Set-Cookie"):
            self._cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in SimpleCookie(cookie).items())
        return answer.status, answer.read().decode()

    def data(self, study_id: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("GET", f"/api/studies/{study_id}/data")[1])
        return found


@pytest.fixture
def visitor(start: Any, write_study: Any, tmp_path: Any) -> Any:
    """A run with its page, and somebody who looks at it."""

    def visit(**changes: Any) -> tuple[Any, Visitor]:
        study = write_study(**changes)
        run = start(study, "-e", "dashboard=true", "-e", "dashboard_port=0", hosts="lab")
        run.wait_for("[autotune] dashboard: ")
        (address,) = re.findall(r"dashboard: (http://\S+)", run.text)
        assert " training: " not in run.text
        return run, Visitor(address)

    yield visit
    _dashboard_process.stop(tmp_path / "learned")


@pytest.mark.timeout(600)
def test_restore_all_hosts_now_ends_benchmarks_and_puts_the_values_back(
    visitor: Any, lab: Any, untouched: dict[str, Any]
) -> None:
    space = [{"param": "net.ipv4.tcp_fin_timeout", "min": 100, "max": 300}]
    run, page = visitor(
        script=SLOW, action_space=space, training_config={"total_timesteps": 50, "benchmark_timeout": 900}
    )
    limit = time.monotonic() + 120
    while not all(int(lab.sysctl(host, "net.ipv4.tcp_fin_timeout")) != 60 for host in lab.hosts):
        assert time.monotonic() < limit, run.text
        time.sleep(0.2)
    doing = [host["doing"] for host in page.data(1)["hosts"]]
    assert all(re.fullmatch(r"training \d+", text) for text in doing)
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page.ask("GET", "/studies/1")[1])[0]
    limit = time.monotonic() + 300
    assert page.ask("POST", "/studies/1/restore", {"csrf_token": token})[0] == 303
    while not all(lab.sysctl(host, "net.ipv4.tcp_fin_timeout") == "60" for host in lab.hosts):
        assert time.monotonic() < limit, "the benchmarks go on"
        time.sleep(0.1)
    assert run.end() == 0
    assert (run.result["verdict"], run.result["reason"]) == ("stopped", "stopped on the dashboard by 127.0.0.1")
    assert "original values restored and verified" in run.text
    # The page is still there, and tells the whole story.
    message = page.data(1)
    told = [(event["host"], event["text"]) for event in message["events"]]
    assert (None, "127.0.0.1 asked on the dashboard to restore all hosts now") in told
    assert {(host, "original values restored and verified") for host in lab.hosts} <= set(told)
    assert message["status"]["verdict"] == "stopped"
    assert {host["doing"] for host in message["hosts"]} == {None}


@pytest.mark.slow
def test_a_taken_port_is_said_and_the_run_goes_on(start: Any, write_study: Any, untouched: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(write_study(), "-e", "dashboard=true", "-e", f"dashboard_port={port}")
        assert run.end() == 0
    assert f"cannot listen on 127.0.0.1 port {port}" in " ".join(run.text.split())
    assert "dashboard_port" in run.text
    engine = store.open_store(f"sqlite:///{run.output}/autotune.sqlite")
    assert store.studies(engine)[0].verdict in ("improved", "no_improvement")
