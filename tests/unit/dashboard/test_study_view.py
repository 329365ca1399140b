# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The HTML of a study's page."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import Callable
from typing import Any

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.client.status import lines
from ansible_collections.autotune.kernel.dashboard.readonly_store import ReadOnlyStore
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.tables import TrialRow
from flask.testing import FlaskClient


def change_result(url: str, study_id: int, **changes: Any) -> None:
    engine = dashboard_store.open_store(url)
    with dashboard_store.Session(engine) as session:
        row = session.get_one(dashboard_store.StudyRow, study_id)
        row.result = {**(row.result or {}), **changes}
        row.verdict = row.result["verdict"]
        session.commit()
    engine.dispose()


def text(client: FlaskClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True))).split())


def test_ablation_and_guard_metrics_are_shown(url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    contribution = {
        "param": "vm.swappiness",
        "decision": "dropped",
        "basis": "not shown",
        "contribution": -0.4,
        "interval": [-2.0, 1.2],
        "confounded_with": ["vm.dirty_ratio"],
    }
    guard = {
        "metric": "p99_ms",
        "direction": "minimise",
        "may_worsen": 2.0,
        "change": -3.0,
        "interval": [-5, -1],
        "holds": False,
    }
    change_result(
        url,
        study_id,
        ablation={
            "reason": "2 of 6 are needed",
            "contributions": [contribution],
            "all_values": {"improved": True, "reason": "proved"},
            "fewer_values": {"improved": True, "reason": "proved as well"},
        },
        guard_metrics=[guard],
        guard_benchmarks=[
            {**guard, "name": "receive", "reason": "", "evidence": [], "dropped": ["vm.dirty_ratio"]},
            {**guard, "name": "requests", "reason": "", "measured": False, "change": None, "interval": None},
        ],
        bootstrap=[50.1, 67.2],
    )
    page = text(client_of(), f"/studies/{study_id}")
    assert "vm.swappiness dropped not shown −0.4 % −2.0 % to +1.2 % vm.dirty_ratio" in page
    assert "2 of 6 are needed" in page
    assert "proved as well" in page
    assert "p99_ms minimise −2.0 % −3.0 % −5.0 % to −1.0 % not shown" in page
    assert "receive p99_ms minimise −2.0 % −3.0 % −5.0 % to −1.0 % 0 not shown vm.dirty_ratio" in page
    assert "requests p99_ms minimise −2.0 % – – 0 not measured –" in page
    assert "+50.1 % to +67.2 % (interval from resampled pairs)" in page


def test_the_gain_is_that_of_all_objectives(url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    objectives = [{"metric": "p99_ms", "direction": "minimise", "weight": 1.0}]
    with dashboard_store.Session(dashboard_store.open_store(url)) as session:
        row = session.get_one(dashboard_store.StudyRow, study_id)
        row.study = {**row.study, "objectives": [*objectives, {"metric": 5}, "p50"]}
        session.commit()
    first = {"metric": dashboard_store.METRIC, "direction": "maximise", "weight": 1.0, "change": 200.0}
    change_result(url, study_id, objectives=[first, {**objectives[0], "change": -20.0}])
    both = f"{dashboard_store.METRIC} and p99_ms"
    page = text(client_of(), f"/studies/{study_id}")
    assert f"Improved: {both} +58.0" in page
    assert f"+66.0\N{NO-BREAK SPACE}%) in {both}".replace("\N{NO-BREAK SPACE}", " ") in page
    assert "p99_ms −20.0 % (positive is better; minimise, weight 1)" in page
    other = dashboard_store.fill(url, trials=60, hosts=2)
    assert f"%) in {both} " in text(client_of(), f"/compare?study={study_id}&study={other}")
    assert f"{both} 120" in text(client_of(), "/")
    assert client_of().get("/api/studies").json["studies"][1]["metrics"] == both
    (dummy, line) = lines(ReadOnlyStore(url))
    assert line == f"  {study_id:>4} wan: improved, {both} +58.0 % (95 % interval +51.2 % to +66.0 %)"


PAIR = {"host": "h1", "pair": 1, "first": "baseline", "baseline": 1.0, "candidate": 2.0, "log_ratio": 0.7}


@pytest.mark.parametrize(
    "bend",
    [
        {"versions": [1]},
        {"interval": [1]},
        {"interval": [None, None]},
        {"improvement": "much"},
        {"evidence": [{}]},
        {"evidence": [{**PAIR, "log_ratio": "x"}]},
        {"best_config": [1]},
        {"per_host": {"h1": "x"}},
        {"carry_over": [{}]},
        {"guard_benchmarks": [{}]},
        {"ablation": {"contributions": [{}]}},
        {"seconds": {"total": "<b>"}},
        [1],
        "text",
        5,
        None,
    ],
)
def test_a_result_that_does_not_fit_is_left_out_and_the_page_says_so(
    url: str, study_id: int, client_of: Callable[..., FlaskClient], bend: Any
) -> None:
    with dashboard_store.Session(dashboard_store.open_store(url)) as session:
        row = session.get_one(dashboard_store.StudyRow, study_id)
        row.result = {**(row.result or {}), **bend} if isinstance(bend, dict) else bend
        session.commit()
    client = client_of()
    for path in (f"/studies/{study_id}", f"/studies/{study_id}/live"):
        page = text(client, path)
        assert "Improved, but the result in the store cannot be read (" in page
        assert "What was learned is in the result, which cannot be read." in page
        assert "The original values of all hosts were restored and verified." in page
        assert "proved in" not in page
    other = dashboard_store.fill(url, trials=20, hosts=1)
    for path in ("/", f"/compare?study={study_id}&study={other}"):
        assert "not proved" in text(client, path)
    answer = client.get(f"/api/studies/{study_id}").json
    assert answer["result"] is None
    assert answer["result_problem"]
    assert "cannot be read" in client.get(f"/api/studies/{study_id}/charts/evidence").json["summary"]
    assert lines(ReadOnlyStore(url))[1].endswith("wan: improved")


def test_fields_of_a_trial_that_do_not_fit_are_left_out(
    url: str, study_id: int, client_of: Callable[..., FlaskClient]
) -> None:
    with dashboard_store.Session(dashboard_store.open_store(url)) as session:
        row = session.get_one(TrialRow, (study_id, 30))
        row.requested = row.applied = row.metrics = row.observations = [1]
        row.health = row.seconds = row.stability_parts = 5
        row.streamed = {"a": 1}
        session.commit()
    client = client_of()
    assert client.get(f"/studies/{study_id}/trials/30").status_code == 200
    for path in ("trials/30", "trials.csv", "trials.json"):
        assert client.get(f"/api/studies/{study_id}/{path}").status_code == 200


def test_each_value_says_what_it_rests_on(study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    page = text(client_of(), f"/studies/{study_id}")
    assert "effect shown on its own: +38.0 % (+30.1 % to +46.4 %) proposed by the initial design (trial 7)" in page
    assert "effect shown only together with net.core.somaxconn: +4.0 % (+1.2 % to +6.9 %)" in page
    assert (
        "element 3 is the largest value of its range (33554432); the surrogate predicts that the last quarter of the "
        "range adds +3.1 %" in page
    )
    assert "raise max to 134217728, if that is safe" in page
    assert "risk: every connection to this host receives at most this much per round trip." in page


def test_a_running_study_says_nothing_of_that(url: str, client_of: Callable[..., FlaskClient]) -> None:
    study_id = dashboard_store.fill(url, trials=40, hosts=2, finished=False)
    assert "shown only as a part" not in text(client_of(), f"/studies/{study_id}")


def test_without_proof_there_is_no_winner(url: str, client_of: Callable[..., FlaskClient]) -> None:
    study_id = dashboard_store.fill(url, trials=60, hosts=2, verdict="no_improvement")
    page = text(client_of(), f"/studies/{study_id}")
    assert "not proved better: keep the original values." in page
    assert "not proved: do not roll this out" in page
    assert "Improved:" not in page


def test_failures_are_counted_by_reason(url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    page = text(client_of(), f"/studies/{study_id}#failures")
    client = client_of()
    failed = client.get(f"/api/studies/{study_id}/trials?failed=true").json["trials"]
    reasons = {e["error"]: sum(f["error"] == e["error"] for f in failed) for e in failed}
    assert len(reasons) > 1
    for reason, times in reasons.items():
        assert f"{reason} {times} " in page


def test_equal_values_of_compared_studies_are_marked(
    url: str, study_id: int, client_of: Callable[..., FlaskClient]
) -> None:
    other = dashboard_store.fill(url, trials=60, hosts=2, seed=9)
    change_result(url, other, best_config={**dashboard_store.BEST, "vm.swappiness": 77})
    page = client_of().get(f"/compare?study={study_id}&study={other}").get_data(as_text=True)
    rows = {
        re.search(r"<code>(.*?)</code>", row)[1]: row
        for row in re.findall(r"<tr.*?</tr>", page, re.S)
        if "<code>" in row
    }
    assert 'class="same"' in rows["net.core.somaxconn"]
    assert 'class="same"' not in rows["vm.swappiness"]
    assert re.findall(r"<td>(.*?)</td>", rows["vm.swappiness"]) == ["12", "77"]


@pytest.mark.takes_seconds
@pytest.mark.parametrize("trials", [0, 3, 40])
def test_every_page_works_in_every_state(url: str, trials: int, client_of: Callable[..., FlaskClient]) -> None:
    hosts = min(trials, 2)
    ids = [
        dashboard_store.fill(url, trials=trials, hosts=hosts, verdict=verdict)
        for verdict in dashboard_store.REASONS
        if trials == 40 or verdict in ("failed", "stopped")
    ]
    ids += [dashboard_store.fill(url, trials=trials, hosts=hosts, finished=False) for dummy in range(2)]
    client = client_of()
    with dashboard_store.claimed(url, ids[-1]):
        paths = ["/", "/?verdict=interrupted", f"/compare?{'&'.join(f'study={number}' for number in ids)}"]
        paths += [f"/studies/{number}{page}" for number in ids for page in ("", "/trials")]
        assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_an_improvement_proved_before_a_stop_is_shown_on_every_page(
    url: str, study_id: int, client_of: Callable[..., FlaskClient]
) -> None:
    change_result(url, study_id, verdict="stopped", proved=True)
    page = text(client_of(), f"/studies/{study_id}")
    assert "Stopped: throughput_mbit_per_second +58.0" in page
    assert "Proved better than the original values." in page
    assert "Proved." in page
    assert "apply.yml" not in page, "a study that was stopped has no role"
    assert client_of().get("/api/studies").json["studies"][0]["proved"] is True
    other = dashboard_store.fill(url, trials=60, hosts=2)
    for path in ("/", f"/compare?study={study_id}&study={other}"):
        shown = text(client_of(), path)
        assert "+58.0" in shown
        assert "not proved" not in shown


def test_an_update_has_the_same_parts_as_the_page(
    url: str, study_id: int, client_of: Callable[..., FlaskClient]
) -> None:
    client = client_of()
    page, update = (client.get(f"/studies/{study_id}{path}").get_data(as_text=True) for path in ("", "/live"))
    ids = [set(re.findall(r'id="([a-z-]+)"[^>]* data-live[ >]', text)) for text in (page, update)]
    assert len(ids[0]) > 8
    assert ids[0] == ids[1]
    assert "csrf_token" not in update
    for part in re.split(r"\n(?=<[a-z]+ [^>]*data-live)", update.strip()):
        assert part.strip() in page


def test_an_update_is_cached_until_there_is_news(
    running_study: dashboard_store.Running, client_of: Callable[..., FlaskClient]
) -> None:
    client, path = client_of(poll=0.0), f"/studies/{running_study.study_id}/live"
    first = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert (first.status_code, first.headers["Content-Encoding"]) == (200, "gzip")
    assert "Set-Cookie" not in first.headers
    known = {"If-None-Match": first.headers["ETag"], "Accept-Encoding": "gzip"}
    assert client.get(path, headers=known).status_code == 304
    number = running_study.evaluate()
    again = client.get(path, headers=known)
    assert again.status_code == 200
    assert f'<tr data-key="{number}">' in gzip.decompress(again.data).decode()
