# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A study of 10,000 trials on 50 hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dashboard_store
import pytest
from playwright.sync_api import Page, expect

from .conftest import until

CURVE = "document.querySelector('[data-chart=learning_curve] .canvas')"
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# The aim is 1.5 s; shared machines may be slow for a moment.
WITHIN = 4000


@pytest.mark.alone
def test_a_large_study_is_painted_soon_and_decimated(
    serve: Any, open_page: Callable[..., Page], record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    number = dashboard_store.fill(server.store, trials=10_000, hosts=50)
    page = open_page(f"{server.url}/")
    page.goto(f"{server.url}/studies/{number}")
    until(page, f"{PAINTED} !== undefined")
    first = page.evaluate(PAINTED)
    page.goto(f"{server.url}/studies/{number}")
    until(page, f"{PAINTED} !== undefined")
    again = page.evaluate(PAINTED)
    with capsys.disabled():
        print(f"\n10,000 trials on 50 hosts: first paint after {first:.0f} ms, {again:.0f} ms when read before")
    record_property("first_paint_ms", first)
    assert first < WITHIN
    expect(page.locator(".now")).to_contain_text("10,000 of 10,000 trials")
    expect(page.locator("#activity")).to_contain_text("50 hosts")

    curve = page.locator("figure[data-chart=learning_curve]")
    curve.scroll_into_view_if_needed()
    curve.locator(".main-svg").first.wait_for(state="attached")
    expect(curve.locator(".shown")).to_contain_text("of 10,000")
    assert shown(page) < 10_000
    assert max(series(page)) <= 2000
    # Zooming in shows every point of the section.
    page.evaluate(f"Plotly.relayout({CURVE}, {{'xaxis.range[0]': 3000, 'xaxis.range[1]': 3500}})")
    expect(curve.locator(".shown")).to_be_empty()
    assert shown(page) == 501


def series(page: Page) -> list[int]:
    """Points of each series of the learning curve."""
    found: list[int] = page.evaluate(f"{CURVE}.data.filter(one => one.meta === 'points').map(one => one.x.length)")
    return found


def shown(page: Page) -> int:
    return sum(series(page))
