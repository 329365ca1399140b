# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A study of 10,000 evaluations on 50 hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dashboard_store
import pytest
from playwright.sync_api import Page, expect

from .conftest import until

CURVE = "document.querySelector('[data-chart=learning_curve] .canvas')"
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# 1.5 s is what is wanted; a shared machine may be slow for a moment.
WITHIN = 4000


@pytest.mark.alone
def test_is_painted_soon_and_drawn_in_part(
    serve: Any, open_page: Callable[..., Page], record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    number = dashboard_store.fill(server.store, evaluations=10_000, hosts=50)
    page = open_page(f"{server.url}/")
    page.goto(f"{server.url}/studies/{number}")
    until(page, f"{PAINTED} !== undefined")
    first = page.evaluate(PAINTED)
    page.goto(f"{server.url}/studies/{number}")
    until(page, f"{PAINTED} !== undefined")
    again = page.evaluate(PAINTED)
    with capsys.disabled():
        print(f"\n10,000 evaluations on 50 hosts: first paint after {first:.0f} ms, {again:.0f} ms when read before")
    record_property("first_paint_ms", first)
    assert first < WITHIN
    expect(page.locator(".now")).to_contain_text("10,000 of 10,000 evaluations")
    expect(page.locator("#at-work")).to_contain_text("50 hosts")

    curve = page.locator("figure[data-chart=learning_curve]")
    curve.scroll_into_view_if_needed()
    curve.locator(".main-svg").first.wait_for(state="attached")
    expect(curve.locator(".shown")).to_contain_text("of 10,000")
    assert shown(page) < 10_000
    assert max(series(page)) <= 2000
    # A stretch that is looked at closer comes with every point of it.
    page.evaluate(f"Plotly.relayout({CURVE}, {{'xaxis.range[0]': 3000, 'xaxis.range[1]': 3500}})")
    expect(curve.locator(".shown")).to_be_empty()
    expect(curve.locator(".summary")).to_contain_text("501 evaluations")
    assert shown(page) == 501


def series(page: Page) -> list[int]:
    """How many points each series of the learning curve has."""
    found: list[int] = page.evaluate(f"{CURVE}.data.filter(one => one.meta === 'points').map(one => one.x.length)")
    return found


def shown(page: Page) -> int:
    return sum(series(page))
