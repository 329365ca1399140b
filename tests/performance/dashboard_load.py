"""Cost of the dashboard: first paint, an update by length of the study, and a hundred open pages.

Run it with `./dev bench-dashboard`; `--minutes 5` keeps the hundred pages open for that long.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "playbooks/collections")]

import dashboard_store  # noqa: E402 (found by the path above)
from ansible_collections.autotune.kernel.dashboard.feed import Feed  # noqa: E402
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore  # noqa: E402
from ansible_collections.autotune.kernel.dashboard.updates import as_json, message_after  # noqa: E402
from ansible_collections.autotune.kernel.plugins.plugin_utils import _dashboard_process  # noqa: E402

HOSTS = 50
LENGTHS = (100, 1_000, 10_000)
PAGES = 100
BYTES_PER_TRIAL = 4000  # in the server, with the requested values
CHROMIUM = Path("/usr/bin/chromium")
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long the pages stay open (%(default)s)")
    parser.add_argument("--pages", type=int, default=PAGES, help="number of pages (%(default)s)")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two trials (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'store.sqlite'}"
        studies = {n: dashboard_store.fill(url, trials=n, hosts=HOSTS, finished=False, seed=n) for n in LENGTHS}
        whole = dashboard_store.fill(url, trials=LENGTHS[-1], hosts=HOSTS)
        updates(url, studies)
        page, dummy = _dashboard_process.start(folder, url, ["--port", "0"])
        try:
            first_paint(page.address, whole)
            asyncio.run(many_pages(page, url, studies[LENGTHS[-1]], arguments))
        finally:
            _dashboard_process.stop(folder)


def updates(url: str, studies: dict[int, int]) -> None:
    """Server time to read one new trial and make its message, by number of earlier trials."""
    print(f"update by one trial, {HOSTS} hosts, milliseconds in the server")
    print("     trials  median    90 %   bytes")
    for length, study_id in studies.items():
        feed = Feed(ReadOnlyStore(url), study_id)
        took, size = [], 0
        with dashboard_store.continued(url, study_id) as study:
            for dummy in range(40):
                cursor = feed.cursor
                study.evaluate()
                began = time.perf_counter()
                feed.refresh()
                size = len(as_json(message_after(feed, cursor)))
                took.append((time.perf_counter() - began) * 1000)
        print(f"{length:11}  {statistics.median(took):6.2f}  {statistics.quantiles(took, n=10)[-1]:6.2f}  {size:6}")
    print()


def first_paint(address: str, study_id: int) -> None:
    """In Chromium: until the first paint, and until the status is readable."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("first paint: not measured, playwright is not installed\n")
        return
    if not CHROMIUM.exists():
        print(f"first paint: not measured, {CHROMIUM} is missing\n")
        return
    print(f"first paint of a study of {LENGTHS[-1]} trials on {HOSTS} hosts in Chromium, seconds")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for visit in ("first", "second", "third"):
            tab = browser.new_context().new_page()
            began = time.monotonic()
            tab.goto(f"{address}studies/{study_id}", wait_until="commit")
            tab.wait_for_selector("main h1", state="visible")
            readable = time.monotonic() - began
            # Not with wait_for_function, which needs the eval that the policy forbids.
            while (painted := tab.evaluate(FIRST_PAINT)) is None:
                time.sleep(0.01)
            print(f"{visit:6} visit  first contentful paint {painted / 1000:5.2f}  status readable {readable:5.2f}")
            tab.context.close()
        browser.close()
    print()


@dataclass
class Client:
    """One open page: the trials it was told, their delays, and the times of its requests for the changed parts."""

    numbers: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    connected: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, address: str, study_id: int, after: str) -> None:
        host, port = urlsplit(address).hostname, urlsplit(address).port
        reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        path = f"/api/studies/{study_id}/stream?after={after}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self.connected = True
                    self.news.set()
                    self.take(json.loads(line[6:]))
        finally:
            writer.close()

    def take(self, message: dict[str, object]) -> None:
        now = time.time()
        for trial in message.get("trials", ()):  # type: ignore[attr-defined]
            self.numbers.append(trial["id"])
            self.late.append(now - datetime.fromisoformat(trial["finished"]).timestamp())

    async def update(self, address: str, study_id: int) -> None:
        """As static/connection.js: one request at a time, at most one per second."""
        while True:
            await self.news.wait()
            self.news.clear()
            self.live.append(await ask(address, f"/studies/{study_id}/live"))
            await asyncio.sleep(1.0)


async def many_pages(
    page: _dashboard_process.Dashboard, url: str, study_id: int, arguments: argparse.Namespace
) -> None:
    """Real streams and updates from a real server while trials finish and another client requests other pages."""
    cursor = str(Feed(ReadOnlyStore(url), study_id).cursor)
    clients = [Client() for dummy in range(arguments.pages)]
    listening = [asyncio.create_task(client.listen(page.address, study_id, cursor)) for client in clients]
    listening += [asyncio.create_task(client.update(page.address, study_id)) for client in clients]
    began = time.monotonic()
    while not all(client.connected for client in clients):
        await asyncio.sleep(0.1)
    print(f"{len(clients)} pages were live after {time.monotonic() - began:.1f} s; open for {arguments.minutes:g} min,")
    print(f"a trial every {arguments.every:g} s, {HOSTS} hosts, {LENGTHS[-1]} earlier trials")
    memory, asked, told = [], [], []
    began, cpu = time.monotonic(), cpu_seconds(page.pid)
    until = began + arguments.minutes * 60
    with dashboard_store.continued(url, study_id) as study:
        while time.monotonic() < until:
            told.append(await asyncio.to_thread(study.evaluate))
            asked.append(await ask(page.address, "/api/studies"))
            memory.append((time.monotonic() - began, resident(page.pid)))
            await asyncio.sleep(arguments.every)
    used, passed = cpu_seconds(page.pid) - cpu, time.monotonic() - began
    limit = time.monotonic() + 15
    while any(len(client.numbers) < len(told) for client in clients) and time.monotonic() < limit:
        await asyncio.sleep(0.1)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    late = sorted(delay for client in clients for delay in client.late)
    lost = sum(len(set(told) - set(client.numbers)) for client in clients)
    twice = sum(len(client.numbers) - len(set(client.numbers)) for client in clients)
    print(f"trials sent       {len(told)} to each: {lost} lost, {twice} sent twice")
    worst = f"99 % {late[int(len(late) * 0.99)]:.2f} s, worst {late[-1]:.2f} s"
    print(f"delay             median {statistics.median(late):.2f} s, {worst}")
    live = sorted(took for client in clients for took in client.live)
    print(
        f"page updates      {len(live)}: median {statistics.median(live) * 1000:.0f} ms, worst {live[-1] * 1000:.0f} ms"
    )
    print(f"server's CPU      {100 * used / passed:.0f} % of one core")
    print(f"other requests    median {statistics.median(asked) * 1000:.0f} ms, worst {max(asked) * 1000:.0f} ms")
    grows = tell_memory(memory, len(told))
    if lost or twice or grows:
        raise SystemExit("updates were lost or sent twice" if lost or twice else "the server's memory grows")


def tell_memory(memory: list[tuple[float, float]], told: int) -> bool:
    """Print the server's memory by the minute; whether it grows by more than the new trials."""
    by_minute: dict[int, list[float]] = {}
    for at, size in memory:
        by_minute.setdefault(int(at // 60), []).append(size)
    means = [statistics.fmean(sizes) for sizes in by_minute.values()]
    print(f"the server's memory, MB, mean of each minute: {', '.join(f'{mean:.0f}' for mean in means)}")
    if len(means) < 4:
        print("run it with --minutes 4 to see whether it grows")
        return False
    # The first minute fills the caches.
    later = means[-1] - means[1]
    expected = told * (len(means) - 2) / len(means) * BYTES_PER_TRIAL / 2**20
    flat = later <= max(expected, 0.05 * means[1])
    word = "flat" if flat else "NOT FLAT"
    print(f"{word}: {later:+.1f} MB since the second minute, of which {expected:.1f} MB for the new trials")
    return not flat


async def ask(address: str, path: str) -> float:
    """Seconds that another request takes."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{path} was answered with {answer[:60]!r}")
    return time.monotonic() - began


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()
