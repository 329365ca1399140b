# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Markup in any text from hosts, studies and users is shown as text and never executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dashboard_store
from playwright.sync_api import Page, expect

from .conftest import draw_all

MARKUP = (
    """"'><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{7*7}}"""
    """<a href="javascript:window.hacked=1">x</a>"""
)


def with_markup(value: Any) -> Any:
    """The value with markup added to every text except keywords."""
    if isinstance(value, dict):
        return {
            key if key.islower() and key.isidentifier() else f"{key}{MARKUP}": with_markup(v)
            for key, v in value.items()
        }
    if isinstance(value, list):
        return [with_markup(entry) for entry in value]
    meant = ("maximise", "int", "bool", "choice", "vector", "improved", "baseline", "candidate")
    return f"{value}{MARKUP}" if isinstance(value, str) and value not in meant else value


def test_markup_is_text(serve: Any, open_page: Callable[..., Page]) -> None:
    server = serve()
    number = dashboard_store.fill(server.store, trials=60, hosts=3)
    running = dashboard_store.fill(server.store, trials=40, hosts=2, finished=False)
    engine = dashboard_store.open_store(server.store)
    with dashboard_store.Session(engine) as session:
        for table in (
            dashboard_store.StudyRow,
            dashboard_store.HostRow,
            dashboard_store.TrialRow,
            dashboard_store.EventRow,
        ):
            for row in session.query(table):
                for column in table.__table__.columns:
                    if column.name not in ("phase", "verdict") and not column.primary_key:
                        setattr(row, column.name, with_markup(getattr(row, column.name)))
        session.commit()
    page = open_page(f"{server.url}/")
    paths = (
        "/",
        "/?q=%22%3E%3Cscript%3Ewindow.hacked%3D1%3C/script%3E",
        f"/studies/{number}",
        f"/studies/{running}",
        f"/studies/{number}/trials?host=%3Cscript%3Ewindow.hacked%3D1%3C/script%3E",
        f"/studies/{number}/trials",
        f"/studies/{number}/trials/20",
        f"/compare?study={number}&study={running}",
        "/studies/1%3Cscript%3E",
    )
    for path in paths:
        page.goto(server.url + path)
        draw_all(page)
        for summary in page.locator(".chart-foot summary:visible").all():
            summary.click()
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("img, a[href^='javascript'], main script").count() == 0, path
    with dashboard_store.claimed(server.store, running):
        page.goto(f"{server.url}/studies/{running}")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        with dashboard_store.Session(engine) as session:
            session.add(dashboard_store.EventRow(study_id=running, at=dashboard_store.START, host=MARKUP, text=MARKUP))
            session.query(dashboard_store.HostRow).filter_by(study_id=running).first().doing = MARKUP
            session.commit()
        expect(page.locator("#events li").first).to_contain_text(MARKUP.replace("\n", " "))
        expect(page.locator("#activity")).to_contain_text(MARKUP)
        assert page.evaluate("window.hacked") is None
        assert page.locator("img").count() == 0
    engine.dispose()
