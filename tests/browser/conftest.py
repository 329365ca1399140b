# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The dashboard in Chromium, served by `autotune-dashboard` in its own process."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
sys.path.append(str(ROOT / "tests"))

import dashboard_store  # noqa: E402

expect.set_options(timeout=60_000)  # for busy machines

# Through the console, so that violations before a listener is added are not missed.
WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("CSP violation: " + event.violatedDirective + " " + event.blockedURI + " " + event.sample));
"""


class Server:
    """`autotune-dashboard` for a store. start() after stop() takes the same port again."""

    def __init__(self, store: str, *arguments: str) -> None:
        self.store, self.arguments, self.port = store, arguments, 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        command = [sys.executable, str(ROOT / "dashboard"), "--store", self.store, "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *self.arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout
        lines = [self.process.stdout.readline()]
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", lines[0])
        assert found, f"the page's server did not start: {lines[0]}{self.process.stdout.read()}"
        self.port = int(found[1])
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return self

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")  # Playwright's event loop runs until its end: no test after it could run its own
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there: ./dev test installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(address, **options of the context)`.

    Whatever the test does: no request may leave the machine, no line of the policy be violated, no script fail.
    """
    complaints: list[str] = []
    contexts = []

    def open_one(address: str, **options: Any) -> Page:
        origin = re.match(r"http://[^/]+/", address)
        assert origin

        def only_here(route: Route) -> None:
            if route.request.url.startswith((origin[0], "data:", "blob:")):
                route.continue_()
            else:
                complaints.append(f"a request to {route.request.url}")
                route.abort()

        context = chromium.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        context.route("**/*", only_here)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(f"a script failed: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if "CSP violation" in message.text or "Content Security Policy" in message.text
                else None
            ),
        )
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints


@dataclass(frozen=True)
class Site:
    """A server and the numbers of its studies."""

    server: Server
    improved: int
    unproved: int
    running: int
    fresh: int
    interrupted: int
    failed: int
    stopped: int

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def pages(self) -> dict[str, str]:
        """Every kind of page, in every state that looks different."""
        run = f"{self.url}/studies/{self.improved}"
        return {
            "all studies": f"{self.url}/",
            "none found": f"{self.url}/?q=nothing-is-called-so",
            "improved": run,
            "not proved": f"{self.url}/studies/{self.unproved}",
            "running": f"{self.url}/studies/{self.running}",
            "fresh": f"{self.url}/studies/{self.fresh}",
            "interrupted": f"{self.url}/studies/{self.interrupted}",
            "failed": f"{self.url}/studies/{self.failed}",
            "stopped": f"{self.url}/studies/{self.stopped}",
            "trials": f"{run}/trials",
            "trial": f"{run}/trials/17",
            "compare": f"{self.url}/compare?study={self.improved}&study={self.unproved}&study={self.running}",
            "error": f"{self.url}/studies/4711",
        }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with a study in each state, for read-only tests."""
    store = f"sqlite:///{tmp_path_factory.mktemp('page')}/autotune.sqlite"
    ago = datetime.now(UTC) - timedelta(minutes=6)
    improved = dashboard_store.fill(store, trials=200, hosts=4)
    unproved = dashboard_store.fill(store, trials=60, hosts=12, verdict="no_improvement", workload="memory")
    running = dashboard_store.fill(store, trials=80, hosts=2, finished=False, started=ago)
    fresh = begin(store, workload="fresh")
    interrupted = dashboard_store.fill(store, trials=30, hosts=2, finished=False, workload="killed", started=ago)
    failed = dashboard_store.fill(store, trials=0, hosts=2, verdict="failed", workload="broken")
    stopped = dashboard_store.fill(store, trials=40, hosts=2, verdict="stopped", workload="enough")
    server = Server(store)
    with dashboard_store.claimed(store, running, fresh):
        try:
            yield Site(server.start(), improved, unproved, running, fresh, interrupted, failed, stopped)
        finally:
            server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`serve(*arguments)`: a server of the test's own, with an empty store; it can be stopped and started."""
    servers: list[Server] = []

    def serve_store(*arguments: str, store: str | None = None) -> Server:
        server = Server(store or f"sqlite:///{tmp_path}/autotune.sqlite", *arguments)
        dashboard_store.open_store(server.store).dispose()
        servers.append(server)
        return server.start()

    yield serve_store
    for server in servers:
        server.stop()


def begin(store: str, **columns: Any) -> int:
    """A study that has just started, without hosts."""
    engine = dashboard_store.open_store(store)
    name = columns.pop("workload", "wan")
    known = {"study": dashboard_store.study_file(name, 40), "seed": 5, "phase": "baseline", "trials_planned": 40}
    row = dashboard_store.StudyRow(workload_name=name, started=datetime.now(UTC), **{**known, **columns})
    with dashboard_store.Session(engine) as session:
        session.add(row)
        session.commit()
        study_id: int = row.id
    engine.dispose()
    return study_id


def until(page: Page, expression: str, seconds: float = 240) -> None:
    """Wait until a JavaScript expression is true; wait_for_function needs eval, which the policy forbids."""
    limit = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < limit, expression
        page.wait_for_timeout(100)


def draw_all(page: Page) -> None:
    """Scroll to every chart and wait until it is drawn or explains why it is empty."""
    for name in page.locator("figure[data-chart]").evaluate_all("all => all.map(one => one.dataset.chart)"):
        figure = page.locator(f"figure[data-chart={name}]")
        figure.scroll_into_view_if_needed()
        figure.locator(".js-plotly-plot .main-svg, .canvas.without[hidden]").first.wait_for(state="attached")
