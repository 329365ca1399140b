# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real studies in the lab, watched and stopped in the browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from integration.conftest import lab  # noqa: F401
from integration.tune.conftest import start, untouched, write_study  # noqa: F401
from integration.tune.test_resume import kill_controller, trainer_of
from playwright.sync_api import Page, expect

from .conftest import until

OpenPage = Callable[..., Page]
PATIENT = 120_000  # milliseconds
POINTS = "document.querySelectorAll('[data-chart=learning_curve] path.point').length"


def follow(run: Any, serve: Any, open_page: OpenPage) -> Page:
    """The page of the study, opened as soon as there is a store."""
    limit = time.monotonic() + 120
    while not (found := list(run.output.glob("autotune.sqlite"))):
        assert time.monotonic() < limit, run.text
        assert run.process.poll() is None, run.text
        time.sleep(0.1)
    page = open_page(f"{serve(store=f'sqlite:///{found[0]}').url}/")
    page.set_default_timeout(PATIENT)
    while not page.locator("#studies tbody a").count():
        page.reload()
        time.sleep(0.2)
    page.locator("#studies tbody a").first.click()
    return page


Begin = Callable[[int], tuple[Page, Any, Callable[..., Any]]]


@pytest.fixture
def begin(
    start: Any,  # noqa: F811
    write_study: Any,  # noqa: F811
    untouched: Any,  # noqa: F811
    serve: Any,
    open_page: OpenPage,
) -> Begin:
    """Start a study with so many training trials: its page, the run, and a function that runs it again."""

    def begin_one(training: int) -> tuple[Page, Any, Callable[..., Any]]:
        study = write_study(training_config={"total_timesteps": training, "benchmark_timeout": 20})
        run = start(study)
        return follow(run, serve, open_page), run, partial(start, study)

    return begin_one


def see_it_live(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=PATIENT)
    until(page, "Number(document.querySelector('#trials-done').textContent) >= 3")


def trials(page: Page) -> int:
    return int(page.locator("#trials-done").inner_text())


@pytest.mark.timeout(600)
def test_the_curve_grows_and_the_verdict_shows(begin: Begin) -> None:
    page, run, dummy = begin(24)
    see_it_live(page)
    page.locator("figure[data-chart=learning_curve]").scroll_into_view_if_needed()
    until(page, f"{POINTS} >= 2")
    before, drawn = trials(page), page.evaluate(POINTS)
    assert run.process.poll() is None, "the run was over before anything was drawn"
    page.reload()
    assert trials(page) >= before
    page.locator("figure[data-chart=learning_curve]").scroll_into_view_if_needed()
    until(page, f"{POINTS} > {drawn}")
    assert run.end() == 0, run.text
    expect(page.locator("#connection")).to_have_attribute("data-state", "ended", timeout=PATIENT)
    verdict = run.result["verdict"]
    words = {"improved": "Improved", "no_improvement": "No improvement"}[verdict]
    expect(page.locator(".now .badge")).to_have_text(words)
    expect(page.locator("#verdict")).to_contain_text("proved", timeout=PATIENT)
    expect(page.locator("#evidence")).to_contain_text(
        "Proved." if verdict == "improved" else "Not proved.", timeout=PATIENT
    )
    assert trials(page) == run.result["trials"]["total"] == len(run.trials)


@pytest.mark.timeout(600)
def test_stopping_restores_the_hosts(begin: Begin) -> None:
    page, run, dummy = begin(500)
    expect(page.locator(".now .phase")).to_have_text("training", timeout=PATIENT)
    page.get_by_role("button", name="Stop study…").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop study").click()
    expect(page.locator(".now .badge")).to_have_text("Stopped", timeout=PATIENT)
    run.end()
    assert run.result["verdict"] == "stopped"
    expect(page.locator("#verdict")).to_contain_text("Stopped", timeout=PATIENT)
    expect(page.locator("#log")).to_contain_text("asked")
    # The fixture `untouched` checks every host afterwards.


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_study_is_interrupted_and_can_be_resumed(begin: Begin) -> None:
    page, run, again = begin(24)
    state = page.locator("#connection")
    see_it_live(page)
    assert trainer_of(run), run.text
    kill_controller(run)
    expect(page.locator(".now .badge")).to_have_text("Interrupted", timeout=PATIENT)
    expect(state).to_have_attribute("data-state", "interrupted")
    expect(page.locator("#verdict")).to_contain_text("no sign of the trainer since")
    expect(page.locator("#verdict")).to_contain_text("-e resume=true")
    expect(page.get_by_role("button", name="Stop study…")).to_have_count(0)
    before = trials(page)

    run = again("-e", "resume=true")
    expect(state).to_have_attribute("data-state", "live", timeout=PATIENT)
    expect(page.locator(".now .badge")).to_have_text("Running")
    expect(page.get_by_role("button", name="Stop study…")).to_be_visible()
    assert run.end(400) == 0, run.text
    expect(state).to_have_attribute("data-state", "ended", timeout=PATIENT)
    assert trials(page) == run.result["trials"]["total"] > before
