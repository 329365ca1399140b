from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard.__main__ import _token
from ansible_collections.autotune.kernel.plugins.plugin_utils import _dashboard_process
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.page_requests import take
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import open_store

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 180.0


def dashboard(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run autotune-dashboard from its folder until it ends."""
    return subprocess.run(
        [sys.executable, str(ROOT / "dashboard"), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **variables},
        check=False,
    )


def look(address: str, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    connection.request("GET", urlsplit(address).path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.takes_seconds
def test_a_port_in_use_is_reported_with_the_setting(url, study_id):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = dashboard("--port", port, AUTOTUNE_STORE=url)
    assert ran.returncode == 2
    assert ran.stderr == (
        f"autotune-dashboard: cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "choose another port with --port (dashboard_port in a play)\n"
    )


@pytest.mark.takes_seconds
def test_a_missing_store_is_reported(tmp_path):
    ran = dashboard("--store", str(tmp_path / "none.sqlite"))
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert f"there is no store {tmp_path / 'none.sqlite'}" in ran.stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"\xff\xfe" * 30, "ü".encode() * 30, b"two words, not one token", b"a" * 30 + b"\n" + b"b" * 30],
    ids=["nothing", "short", "binary", "not ASCII", "words", "lines"],
)
def test_a_file_without_a_token_is_one_line(content, tmp_path, capsys):
    file = tmp_path / "dashboard.token"
    file.write_bytes(content)
    with pytest.raises(SystemExit, match="2"):
        _token(file)
    assert capsys.readouterr().err == (
        f"autotune-dashboard: {file} has no token, one word of at least 20 ASCII characters; "
        "name another file, or remove it to have one created\n"
    )
    assert file.read_bytes() == content


def test_a_token_is_kept(tmp_path):
    created = _token(tmp_path / "dashboard.token")
    assert _token(tmp_path / "dashboard.token") == created


@pytest.mark.parametrize(
    ("listens_on", "proxy_address", "by"),
    [
        ("127.0.0.1", None, "203.0.113.9"),
        ("127.0.0.1", "127.0.0.1", "203.0.113.9"),
        ("127.0.0.1", "192.0.2.1", "127.0.0.1"),
        ("::", "127.0.0.1", "203.0.113.9"),
        ("::", None, "203.0.113.9"),
        ("::", "192.0.2.1", "::ffff:127.0.0.1"),
    ],
)
def test_forwarded_headers_are_trusted_from_the_proxy_only(serve, running_study, url, listens_on, proxy_address, by):
    """Otherwise anybody could log a request under another address."""
    if listens_on == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("takes IPv6")
    there = urlsplit(serve(host=listens_on, prefix="/x", proxy_address=proxy_address, token="t" * 43))
    connection = HTTPConnection("127.0.0.1", there.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {'t' * 43}", "X-Forwarded-For": "203.0.113.9", "Accept": "application/json"}
    connection.request("POST", f"/x/studies/{running_study.study_id}/stop", headers=headers)
    assert connection.getresponse().status == 202
    (asked,) = take(open_store(url), running_study.study_id)
    assert asked.by == by


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    _dashboard_process.stop(tmp_path)


def test_is_started_once_and_stopped(folder, url, study_id):
    page, started = _dashboard_process.start(folder, url, ["--port", "0"])
    assert started
    assert look(page.address)[0] == 200
    assert _dashboard_process.start(folder, url, ["--port", "0"]) == (page, False)
    assert url not in Path(f"/proc/{page.pid}/cmdline").read_text()  # it may hold a password
    with pytest.raises(_dashboard_process.DashboardFailed, match="serves .*store.sqlite for "):
        _dashboard_process.start(folder, f"{url}.other", [])
    assert _dashboard_process.stop(folder) == page
    assert _dashboard_process.running(folder) is None
    assert not (folder / "dashboard.pid").exists()
    assert _dashboard_process.stop(folder) is None


@pytest.mark.takes_seconds
def test_starts_again_after_being_killed(folder, url, study_id):
    first, dummy = _dashboard_process.start(folder, url, ["--port", "0"])
    os.kill(first.pid, signal.SIGKILL)
    limit = time.monotonic() + PATIENCE
    while _dashboard_process.running(folder):
        assert time.monotonic() < limit
        time.sleep(0.05)
    again, started = _dashboard_process.start(folder, url, ["--port", "0"])
    assert started
    assert again.pid != first.pid


@pytest.mark.takes_seconds
def test_ctrl_c_ends_it_at_once_with_open_streams(url, study_id):
    with dashboard_store.running(url) as study:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "dashboard"), "--store", url, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        port = int(process.stdout.readline().split(":")[3].split("/")[0])
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", f"/api/studies/{study.study_id}/stream")
        assert connection.getresponse().readline() == b"retry: 2000\n"
        process.send_signal(signal.SIGINT)
        # waitress would wait 5 seconds for its threads and log those that still run.
        assert "still running" not in process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0


def test_a_failed_start_is_reported(folder, study_id):
    with pytest.raises(
        _dashboard_process.DashboardFailed, match="the dashboard did not start: there is no store /nowhere/x.sqlite"
    ):
        _dashboard_process.start(folder, "sqlite:////nowhere/x.sqlite", ["--port", "0"])


def test_a_new_store_is_created(folder):
    url = f"sqlite:///{folder / 'new.sqlite'}"
    page, dummy = _dashboard_process.start(folder, url, ["--port", "0", "--new-store"])
    assert look(page.address)[0] == 200


def test_links_have_the_prefix_of_the_proxy(folder, url, study_id):
    token = folder / "dashboard.token"
    options = ["--port", "0", "--behind-proxy", "/autotune/", "--token-file", str(token)]
    page, dummy = _dashboard_process.start(folder, url, options)
    assert token.stat().st_mode & 0o777 == 0o600
    assert page.address.endswith("/autotune/")
    assert look(page.address)[0] == 401
    status, shown = look(page.address, Authorization=f"Bearer {token.read_text().strip()}")
    assert status == 200
    links = [part.split('"')[0] for part in shown.split('href="')[1:] + shown.split('src="')[1:]]
    assert links
    assert [link for link in links if not link.startswith(("/autotune/", "#"))] == []
