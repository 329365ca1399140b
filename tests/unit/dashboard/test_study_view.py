# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run's page says of a result, as its HTML has it before any script."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import dashboard_store
import pytest
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


def test_ablation_and_guard_metrics_are_told(url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    share = {
        "param": "vm.swappiness",
        "fate": "dropped",
        "share": -0.4,
        "interval": [-2.0, 1.2],
        "together": ["vm.dirty_ratio"],
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
            "shares": [share],
            "swaps": [],
            "fewer_values": {"reason": "proved as well"},
        },
        guard_metrics=[guard],
        bootstrap=[50.1, 67.2],
    )
    page = text(client_of(), f"/studies/{study_id}")
    assert "vm.swappiness dropped −0.4 % −2.0 % to +1.2 % vm.dirty_ratio" in page
    assert "2 of 6 are needed" in page
    assert "proved as well" in page
    assert "p99_ms minimise 2 % −3.0 % −5.0 % to −1.0 % no" in page
    assert "+50.1 % to +67.2 % (interval by drawing the pairs anew)" in page


def test_a_result_that_proves_nothing_names_no_winner(url: str, client_of: Callable[..., FlaskClient]) -> None:
    study_id = dashboard_store.fill(url, evaluations=60, hosts=2, verdict="no_improvement")
    page = text(client_of(), f"/studies/{study_id}")
    assert "Not proved to be better: keep the values the hosts have." in page
    assert "not proved: do not roll this out" in page
    assert "there is no evidence" in page or "no improvement" in page.lower()
    assert "Improved:" not in page


def test_every_reason_of_a_failure_is_counted(url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    page = text(client_of(), f"/studies/{study_id}#failures")
    client = client_of()
    failed = client.get(f"/api/studies/{study_id}/evaluations?failed=true").json["evaluations"]
    reasons = {e["error"]: sum(f["error"] == e["error"] for f in failed) for e in failed}
    assert len(reasons) > 1
    for reason, times in reasons.items():
        assert f"{reason} {times} " in page


def test_studies_side_by_side_agree_or_not(url: str, study_id: int, client_of: Callable[..., FlaskClient]) -> None:
    other = dashboard_store.fill(url, evaluations=60, hosts=2, seed=9)
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


@pytest.mark.parametrize("evaluations", [0, 3, 40])
def test_every_page_is_there_in_every_state(url: str, evaluations: int, client_of: Callable[..., FlaskClient]) -> None:
    hosts = min(evaluations, 2)
    ids = [
        dashboard_store.fill(url, evaluations=evaluations, hosts=hosts, verdict=verdict)
        for verdict in dashboard_store.REASONS
        if evaluations == 40 or verdict in ("failed", "stopped")
    ]
    ids += [dashboard_store.fill(url, evaluations=evaluations, hosts=hosts, finished=False) for dummy in range(2)]
    client = client_of()
    with dashboard_store.claimed(url, ids[-1]):
        paths = ["/", "/?verdict=interrupted", f"/compare?{'&'.join(f'study={number}' for number in ids)}"]
        paths += [f"/studies/{number}{page}" for number in ids for page in ("", "/evaluations")]
        assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_what_was_proved_before_a_stop_is_proved_on_every_page(
    url: str, study_id: int, client_of: Callable[..., FlaskClient]
) -> None:
    change_result(url, study_id, verdict="stopped", proved=True)
    page = text(client_of(), f"/studies/{study_id}")
    assert "Stopped before the end: throughput_mbit_per_second +58.0" in page
    assert "Proved better than the hosts' own values." in page
    assert "Significant." in page
    assert "apply.yml" not in page, "a study that was stopped has no role"
    assert client_of().get("/api/studies").json["studies"][0]["proved"] is True
    other = dashboard_store.fill(url, evaluations=60, hosts=2)
    for path in ("/", f"/compare?study={study_id}&study={other}"):
        shown = text(client_of(), path)
        assert "+58.0" in shown
        assert "none proved" not in shown
