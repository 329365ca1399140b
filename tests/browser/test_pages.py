# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every page: accessibility, narrow screens, print, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from .conftest import draw_all, until

KINDS = (
    "all studies",
    "none found",
    "improved",
    "not proved",
    "running",
    "fresh",
    "interrupted",
    "failed",
    "stopped",
    "trials",
    "trial",
    "compare",
    "error",
)
MARKS = dict.fromkeys(("not proved", "interrupted", "stopped"), pytest.mark.slow)  # like "improved" and "running"
OpenPage = Callable[..., Page]


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS.get(kind, ())) for kind in KINDS])
def test_is_accessible_and_fits_narrow_screens(site: Any, open_page: OpenPage, kind: str) -> None:
    page = open_page(site.pages[kind], color_scheme="light")
    expect(page.get_by_text("Internal Server Error")).to_have_count(0)
    draw_all(page)
    # The other scheme differs in its colours alone.
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options={"resultTypes": ["violations"], **rules})
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("kind", KINDS)
def test_can_be_read_without_javascript(site: Any, open_page: OpenPage, kind: str) -> None:
    page = open_page(site.pages[kind], java_script_enabled=False)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".js-only").locator("visible=true")).to_have_count(0)
    if kind == "improved":
        expect(page.locator("#verdict")).to_contain_text("Improved: throughput_mbit_per_second +58.0\u00a0%")
        expect(page.locator(".now")).to_contain_text("200 of 200 trials")
        expect(page.locator("#best")).to_contain_text("net.ipv4.tcp_congestion_control")
        expect(page.locator("#failures")).to_contain_text("killed for want of memory")
        expect(page.locator("#log")).to_contain_text("trust region")


def test_a_winner_is_named_only_once_it_is_proved(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["running"])
    expect(page.locator("#verdict")).to_contain_text("not yet proved")
    expect(page.locator("#best")).to_contain_text("Not yet proved")
    page.goto(site.pages["not proved"])
    expect(page.locator("#verdict")).to_contain_text("keep those")
    expect(page.locator("#best")).to_contain_text("not proved better")
    expect(page.get_by_text("Improved", exact=True)).to_have_count(0)


def test_every_chart_has_a_summary_and_a_table(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["improved"])
    draw_all(page)
    figures = page.locator("figure[data-chart]")
    assert figures.count() == 9
    for figure in figures.all():
        assert len(figure.locator(".summary").inner_text()) > 20
        figure.locator("summary").click()
        expect(figure.locator("tbody tr").nth(1)).to_be_attached()
    curve = page.locator("figure[data-chart=learning_curve]")
    expect(curve.locator("tbody tr", has_text="trial 17, training")).to_have_count(1)


def test_charts_are_loaded_when_they_scroll_into_view(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["improved"], viewport={"width": 1280, "height": 500})
    expect(page.locator("#verdict")).to_be_visible()
    page.wait_for_load_state("load")
    assert (
        page.evaluate("performance.getEntriesByType('resource').filter(e => e.name.includes('/charts/')).length") <= 1
    )
    page.locator("figure[data-chart=drift]").scroll_into_view_if_needed()
    page.locator("figure[data-chart=drift] .main-svg").first.wait_for(state="attached")


def test_a_chart_that_fails_shows_its_error(site: Any, open_page: OpenPage) -> None:
    page = open_page(f"{site.url}/")
    page.route("**/charts/learning_curve", lambda route: route.fulfill(status=500, body="no"))
    page.goto(site.pages["improved"])
    draw_all_but = page.locator("figure[data-chart=learning_curve]")
    draw_all_but.scroll_into_view_if_needed()
    expect(draw_all_but).to_contain_text("could not be drawn: HTTP status 500")
    page.unroute("**/charts/learning_curve")
    draw_all_but.get_by_role("button", name="Try again").click()
    draw_all_but.locator(".main-svg").first.wait_for(state="attached")


def test_the_theme_is_remembered(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["all studies"], color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Dark colours").click()
    dark = page.evaluate(colour)
    assert dark != light
    page.goto(site.pages["trials"])
    assert page.evaluate(colour) == dark
    page.get_by_role("button", name="Light colours").click()
    assert page.evaluate(colour) == light


def test_print_is_light(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["improved"], color_scheme="dark")
    draw_all(page)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator("header.head")).to_be_hidden()
    tick = page.locator("figure[data-chart=learning_curve] .xtick text").first
    expect(tick).to_have_css("fill", "rgb(0, 0, 0)")


DRAWN = """() => Object.fromEntries([...document.querySelectorAll("figure.chart")].map((figure) => [
  figure.id,
  [figure.querySelector(".main-svg")?.getAttribute("width"), figure.querySelector(".xtick text")?.style.fill]]))"""


@pytest.mark.parametrize(("kind", "charts"), [("improved", 9), ("compare", 1)])
def test_all_charts_are_printed(site: Any, open_page: OpenPage, kind: str, charts: int) -> None:
    page = open_page(site.pages[kind], color_scheme="dark", viewport={"width": 1280, "height": 500})
    until(page, "Boolean(window.Plotly)")
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.onPaper = ({DRAWN})(); }})")
    page.pdf()
    on_paper = page.evaluate("window.onPaper")
    assert len(on_paper) == charts
    assert {tuple(drawn) for drawn in on_paper.values()} == {("680", "rgb(27, 31, 36)")}
    # Afterwards they are wide and dark again, as the screen is.
    light = f"Object.values(({DRAWN})()).some(([width, colour]) => width === '680' || colour === 'rgb(27, 31, 36)')"
    until(page, f"!{light}")


def test_trials_are_sorted_filtered_and_opened(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["trials"])
    page.get_by_label("Outcome").select_option("failed")
    page.get_by_role("button", name="Apply", exact=True).click()
    rows = page.locator("tbody tr")
    expect(rows.first).to_contain_text("failed:")
    assert rows.count() == rows.filter(has_text="failed:").count()
    page.get_by_role("link", name="Show all").click()
    page.get_by_role("link", name="change", exact=True).click()
    changes = [
        float(text.replace("−", "-").replace(",", "").split()[0])
        for text in page.locator("tbody td:nth-child(6)").all_inner_texts()
        if text != "–"
    ]
    assert changes == sorted(changes, reverse=True)
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Trial \d+"))
    expect(page.get_by_role("heading", name="Observations")).to_be_visible()


def test_studies_are_found_and_compared(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["all studies"])
    page.get_by_label("Name or number").fill("memory")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Show all").click()
    compare = page.get_by_role("button", name="Compare selected studies")
    expect(compare).to_be_disabled()
    for number in (site.improved, site.unproved):
        page.get_by_label(f"compare study {number},").check()
    compare.click()
    expect(page.locator("table").first).to_contain_text("not proved")
    page.locator("#chart-compare .main-svg").first.wait_for(state="attached")
    expect(page.locator("#chart-compare .legendtext")).to_have_count(2)


def test_the_best_configuration_can_be_copied(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["improved"], permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as YAML").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert '"net.core.somaxconn": 16384\n' in page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download YAML").click()
    assert download.value.suggested_filename == f"wan-{site.improved}.yml"


def test_works_with_the_keyboard(site: Any, open_page: OpenPage) -> None:
    page = open_page(site.pages["running"])
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    stop = page.get_by_role("button", name="Stop study…")
    for dummy in range(6):
        page.keyboard.press("Tab")
        if stop.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Stop the study?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(stop).to_be_focused()
