# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page of a running study, with and without a connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dashboard_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StudyRecord, open_store
from playwright.sync_api import Page, expect

from .conftest import until

OpenPage = Callable[..., Page]
COUNT_STREAMS = """
window.streams = [];
window.EventSource = class extends window.EventSource {
  constructor(...given) { super(...given); window.streams.push(this); }
};
"""
OPEN = "window.streams.filter((one) => one.readyState !== EventSource.CLOSED).length"


def state(page: Page, name: str, seconds: float = 240) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", name, timeout=seconds * 1000)


def done(page: Page, number: int) -> None:
    expect(page.locator("#trials-done")).to_have_text(f"{number}")


def numbers(page: Page) -> list[int]:
    return [int(text) for text in page.locator("#latest-trials td:first-child").all_inner_texts()]


def test_news_appears_without_a_reload(serve: Any, open_page: OpenPage) -> None:
    server = serve()
    with dashboard_store.running(server.store, trials=20) as study:
        page = open_page(f"{server.url}/studies/{study.study_id}")
        state(page, "live")
        curve = page.locator("figure[data-chart=learning_curve]")
        curve.scroll_into_view_if_needed()
        curve.locator(".main-svg").first.wait_for(state="attached")
        points = curve.locator("path.point").count()
        for dummy in range(3):
            study.evaluate()
        done(page, 23)
        assert numbers(page)[:4] == [23, 22, 21, 20]
        expect(page.locator("#host-table")).to_contain_text("training 23")
        study.add_event("the host <b>sleeps</b>", "host01")
        expect(page.locator("#events li").first).to_contain_text("the host <b>sleeps</b>")
        curve.scroll_into_view_if_needed()
        until(page, f"document.querySelectorAll('[data-chart=learning_curve] path.point').length > {points}")
        study.finish()
        state(page, "ended")
        expect(page.locator(".now .badge")).to_have_text("Improved")
        expect(page.locator("#verdict")).to_contain_text("proved in 8 pairs")
        expect(page.locator("#evidence")).to_contain_text("Proved.")
        expect(page.get_by_role("button", name="Stop study…")).to_have_count(0)


def test_focus_selection_and_open_details_survive_an_update(serve: Any, open_page: OpenPage) -> None:
    server = serve()
    with dashboard_store.running(server.store, trials=20) as study:
        page = open_page(f"{server.url}/studies/{study.study_id}")
        state(page, "live")
        page.locator("#best-text summary").click()
        page.locator("#best-yaml").evaluate("text => getSelection().selectAllChildren(text)")
        link = page.locator("#latest-trials a", has_text="20")
        link.focus()
        study.evaluate()
        done(page, 21)
        expect(link).to_be_focused()
        expect(page.locator("#best-yaml")).to_be_visible()
        assert "net.core.somaxconn" in page.evaluate("getSelection().toString()")


def test_restored_hosts_are_shown_once_they_have_reported(serve: Any, open_page: OpenPage) -> None:
    server = serve()
    with dashboard_store.running(server.store, trials=20) as study:
        page = open_page(f"{server.url}/studies/{study.study_id}")
        state(page, "live")
        study.finish("stopped", leave_hosts=False)
        expect(page.locator("#verdict .words")).to_have_text("Stopped: no improvement was proved yet.")
        expect(page.locator("#restoration")).to_have_text("Restoring original values: host01, host02.")
        study.leave(True, False)
        state(page, "ended")
        expect(page.locator("#restoration.worse")).to_contain_text("needs attention")
        expect(page.locator("#restoration")).to_contain_text("host02")
        expect(page.locator("#restoration")).not_to_contain_text("host01")


def test_catches_up_after_a_restart_of_the_server(serve: Any, open_page: OpenPage) -> None:
    server = serve()
    with dashboard_store.running(server.store, trials=20) as study:
        page = open_page(f"{server.url}/studies/{study.study_id}")
        state(page, "live")
        server.stop()
        state(page, "reconnecting")
        expect(page.locator("#connection")).to_contain_text("connection lost")
        done(page, 20)
        for dummy in range(4):
            study.evaluate()
        server.start()
        state(page, "live")
        done(page, 24)
        assert numbers(page)[:6] == [24, 23, 22, 21, 20, 19]


def test_polls_without_a_stream(serve: Any, open_page: OpenPage) -> None:
    server = serve("--max-streams", "1")
    with dashboard_store.running(server.store, trials=20) as study:
        address = f"{server.url}/studies/{study.study_id}"
        state(open_page(address), "live")
        page = open_page(address)
        state(page, "polling")
        study.evaluate()
        done(page, 21)
        assert numbers(page)[:2] == [21, 20]


def test_a_hidden_page_has_no_connection_and_catches_up_when_shown(serve: Any, open_page: OpenPage) -> None:
    server = serve()
    with dashboard_store.running(server.store, trials=20) as study:
        page = open_page(f"{server.url}/")
        page.add_init_script(COUNT_STREAMS)
        page.goto(f"{server.url}/studies/{study.study_id}")
        state(page, "live")
        assert page.evaluate(OPEN) == 1
        hide = "hidden => { Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});"
        hide += " document.dispatchEvent(new Event('visibilitychange')); }"
        page.evaluate(hide, True)
        assert page.evaluate(OPEN) == 0
        for dummy in range(2):
            study.evaluate()
        time.sleep(1.5)
        done(page, 20)
        page.evaluate(hide, False)
        done(page, 22)
        assert numbers(page)[:3] == [22, 21, 20]
        assert page.evaluate(OPEN) == 1


def test_a_page_of_an_ended_study_wakes_up_when_that_is_resumed(serve: Any, open_page: OpenPage) -> None:
    server = serve()
    study_id = dashboard_store.fill(server.store, trials=30)
    page = open_page(f"{server.url}/studies/{study_id}")
    state(page, "ended")
    engine = open_store(server.store)
    StudyRecord.resume(engine, study_id, dashboard_store.study_file("wan", 30))
    with dashboard_store.continued(server.store, study_id) as study:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when the tab is looked at again
        state(page, "live")
        study.evaluate()
        done(page, 31)
        study.finish()
        state(page, "ended")


def test_a_study_can_be_stopped_without_javascript(serve: Any, open_page: OpenPage) -> None:
    server = serve()
    with dashboard_store.running(server.store, trials=20) as study:
        page = open_page(f"{server.url}/studies/{study.study_id}", java_script_enabled=False)
        page.get_by_role("button", name="Stop study…").click()
        page.get_by_role("dialog").get_by_role("button", name="Stop study").click()
        expect(page.locator("#requested")).to_contain_text("Requested: stop")
        page.get_by_role("button", name="Restore all hosts now…").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
