# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Behind nginx with TLS, configured with the lines of docs/how-to/proxy.md."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils import _dashboard_process

PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/proxy.md"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
NAME = "tuning.example.org"
PATIENCE = 180.0
AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {name};
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
{location}
    }}
}}
"""


@dataclass
class Proxy:
    """A proxy in front of a dashboard: its port, the dashboard's token, and the certificate to trust."""

    port: int
    token: str
    certificate: Path

    def ask(self, method: str, path: str, host: str = NAME, form: Any = None, **headers: str) -> Any:
        """The answer, with its body still to be read."""
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection = http.client.HTTPSConnection(host, self.port, context=trusted)
        connection.sock = trusted.wrap_socket(plain, server_hostname=NAME)
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body=urlencode(form) if form else None, headers=headers)
        return connection.getresponse()

    def enter(self) -> str:
        """By the address with the token; the cookie for what follows."""
        answer = self.ask("GET", f"/autotune/?token={self.token}")
        assert (answer.status, answer.headers["Location"]) == (303, "/autotune/")
        cookie = str(answer.headers["Set-Cookie"])
        assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/autotune"} <= set(cookie.split("; "))
        return cookie.split(";")[0]


@pytest.fixture
def proxy(url: str, running_study: Any, tmp_path: Path) -> Iterator[Proxy]:
    """nginx and the dashboard with the location and the options of the page."""
    if not Path(NGINX).exists():
        pytest.skip("takes nginx: ./dev test installs it")
    location, settings = re.findall(
        r"```nginx\n(.*?)```.*?^ansible-playbook \S+ -i localhost, (.*?)\n", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )[0]
    given = dict(setting.split("=") for setting in settings.split("-e ") if setting)
    options = [
        *("--behind-proxy", given["dashboard_behind_proxy"].strip()),
        *("--host-name", given["dashboard_host_names"].strip()),
    ]
    token = tmp_path / "dashboard.token"
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, own = first.getsockname()[1], second.getsockname()[1]
    _dashboard_process.start(tmp_path, url, ["--port", str(own), "--token-file", str(token), *options])
    try:
        assert "http://127.0.0.1:8470;" in location
        location = location.replace("127.0.0.1:8470", f"127.0.0.1:{own}")
        certify = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2"]
        files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
        subprocess.run([*certify, *names, *files], check=True, capture_output=True)
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(AROUND.format(folder=tmp_path, port=port, name=NAME, location=location))
        log = tmp_path / "nginx.log"
        nginx = subprocess.Popen([NGINX, "-p", str(tmp_path), "-e", str(log), "-c", str(configuration)])
        try:
            limit = time.monotonic() + PATIENCE
            while socket.socket().connect_ex(("127.0.0.1", port)):
                assert nginx.poll() is None, log.read_text()
                assert time.monotonic() < limit, log.read_text()
                time.sleep(0.05)
            yield Proxy(port, token.read_text().strip(), tmp_path / "certificate.pem")
        finally:
            nginx.terminate()
            nginx.wait()
    finally:
        _dashboard_process.stop(tmp_path)


def test_the_token_and_the_host_name_are_checked(proxy: Proxy) -> None:
    assert proxy.ask("GET", "/autotune/").status == 401
    cookie = proxy.enter()
    answer = proxy.ask("GET", "/autotune/", Cookie=cookie)
    shown = answer.read().decode()
    links = [part.split('"')[0] for part in shown.split('href="')[1:] + shown.split('src="')[1:]]
    assert answer.status == 200
    assert [link for link in links if not link.startswith(("/autotune/", "#"))] == []
    script = next(link for link in links if link.endswith("page.js"))
    assert proxy.ask("GET", script, Cookie=cookie).status == 200
    refused = proxy.ask("GET", "/autotune/", host="evil.example.org", Cookie=cookie)
    assert (refused.status, b"dashboard_host_names" in refused.read()) == (403, True)


@pytest.mark.takes_seconds
def test_the_printed_address_is_the_proxys(proxy: Proxy, tmp_path: Path) -> None:
    assert f"dashboard at https://{NAME}/autotune/?token={proxy.token}\n" in (tmp_path / "dashboard.log").read_text()


@pytest.mark.takes_seconds
def test_events_are_not_buffered(proxy: Proxy, running_study: Any) -> None:
    path = f"/autotune/api/studies/{running_study.study_id}/stream"
    stream = proxy.ask("GET", path, Cookie=proxy.enter())
    assert (stream.status, stream.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")

    def numbers() -> list[int]:
        line = next(line for line in stream if line.startswith(b'data: {"cursor"'))
        return [trial["id"] for trial in json.loads(line[6:])["trials"]]

    assert len(numbers()) == 20
    for dummy in range(3):
        number = running_study.evaluate()
        assert numbers() == [number]


@pytest.mark.takes_seconds
def test_forms_of_other_origins_are_refused(proxy: Proxy, running_study: Any) -> None:
    cookie, here = proxy.enter(), f"/autotune/studies/{running_study.study_id}"
    page = proxy.ask("GET", here, Cookie=cookie)
    kept = str(page.headers["Set-Cookie"]).split(";")[0]
    form = {"csrf_token": re.findall(r'name="csrf_token" value="([^"]+)"', page.read().decode())[0]}
    for origin, status in ((f"http://{NAME}:{proxy.port}", 403), (f"https://{NAME}:{proxy.port}", 303)):
        answer = proxy.ask("POST", f"{here}/stop", form=form, Cookie=kept, Origin=origin)
        assert answer.status == status, answer.read()
    assert answer.headers["Location"] == here
