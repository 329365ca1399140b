from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import dashboard_store
import pytest
from ansible_collections.autotune.kernel.dashboard.app import create_app
from ansible_collections.autotune.kernel.dashboard.settings import Settings
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError, open_store
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.tables import (
    EventRow,
    HostRow,
    StudyRow,
    TrialRow,
)
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text
from sqlalchemy.orm import Session

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}\u2028\x00=cmd|' /C calc'!A0"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('api') / 'store.sqlite'}"
    dashboard_store.fill(url, trials=30, hosts=2)
    with dashboard_store.claimed(url, dashboard_store.fill(url, trials=30, hosts=2, finished=False)):
        yield create_app(url, Settings())


@pytest.mark.takes_seconds
def test_answers_match_the_openapi_document(app):
    import schemathesis  # takes as long to import as all that is tested here, and every test process imports this file

    described = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    operations = [found.ok() for found in described.get_all_operations()]
    # The stream does not end; see test_stream.py.
    for operation in [operation for operation in operations if not operation.path.endswith("/stream")]:

        @given(case=operation.as_strategy())
        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        def check(case):
            response = case.call()
            assert response.status_code < 500
            case.validate_response(response)

        check()


def test_the_openapi_document_has_every_route(app):
    described = app.test_client().get("/api/openapi.json").json["paths"]
    routes = {
        rule.rule.removeprefix("/api")
        .replace("<id:study_id>", "{id}")
        .replace("<id:trial_id>", "{trial}")
        .replace("<name>", "{name}")
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and rule.rule != "/api/openapi.json"
    }
    assert set(described) == routes


@pytest.mark.parametrize(
    "path",
    [
        "/studies/0",
        "/studies/99",
        "/studies/-1",
        "/studies/abc",
        "/studies/9223372036854775808",
        "/studies/" + "9" * 4000,
        "/studies/1/trials/0",
        "/studies/1/trials/99999999999999999999",
        "/studies/1/charts/nothing",
        "/studies/1/charts/..%2f..%2fapp",
        "/../app.py",
        "/studies/%00",
    ],
)
def test_unknown_objects_are_not_found(app, path):
    client = app.test_client()
    answer = client.get(f"/api{path}")
    assert (answer.status_code, list(answer.json)) == (404, ["error"])
    if "charts" not in path:
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/%2e%2e/app.py"]
)
def test_only_static_files_are_served(app, path):
    assert app.test_client().get(path, follow_redirects=True).status_code == 404


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/studies/1/trials?sort=id;drop", "sort"),
        ("/studies/1/trials?order=up", "order"),
        ("/studies/1/trials?failed=maybe", "failed"),
        ("/studies/1/trials?page=0", "page"),
        ("/studies/1/trials?page=1e9", "page"),
        ("/studies/1/trials?page=" + "9" * 100, "page"),
        ("/studies/1/trials?page=²", "page"),
        ("/studies?page=-1", "page"),
        ("/studies?verdict=good", "verdict"),
        ("/studies/1/charts/learning_curve?from=x", "from"),
        ("/studies/1/charts/learning_curve?from=9&to=3", "from"),
    ],
)
def test_an_invalid_query_parameter_is_named(app, path, named):
    answer = app.test_client().get(f"/api{path}")
    assert answer.status_code == 400
    assert named in answer.json["error"]


@pytest.mark.parametrize(
    "sort", ["id", "phase", "host", "metric", "change_percent", "reward", "stability", "error", "finished"]
)
def test_trials_without_a_value_are_sorted_last(app, sort):
    client = app.test_client()
    for order, reverse in (("ascending", False), ("descending", True)):
        rows = client.get(f"/api/studies/1/trials?sort={sort}&order={order}").json["trials"]
        values = [row[sort] for row in rows if row["phase"] != "baseline" or sort != "change_percent"]
        known = [value for value in values if value is not None]
        assert values == sorted(known, reverse=reverse) + [None] * (len(values) - len(known))


def test_the_table_is_filtered(app):
    client = app.test_client()
    rows = client.get("/api/studies/1/trials?phase=train&host=host01&failed=false").json
    assert rows["total"] == len(rows["trials"]) > 0
    assert {(row["phase"], row["host"], row["error"]) for row in rows["trials"]} == {("train", "host01", None)}
    assert client.get("/api/studies/1/trials?host=nobody").json["trials"] == []


def test_studies_are_found_by_name_number_and_verdict(app):
    def ids(query: str) -> list[int]:
        return [study["id"] for study in app.test_client().get(f"/api/studies?{query}").json["studies"]]

    assert ids("") == [2, 1]
    assert (ids("q=WA"), ids("q=1"), ids("q=nothing"), ids("q=%25"), ids("q=w_n")) == ([2, 1], [1], [], [], [])
    assert (ids("verdict=running"), ids("verdict=improved"), ids("verdict=failed")) == ([2], [1], [])
    assert ids("page=2") == []


def test_exports_have_every_trial_with_all_fields(app):
    client = app.test_client()
    answer = client.get("/api/studies/1/trials.json")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="wan-1-trials.json"'
    whole = json.loads(answer.text)
    rows = list(csv.DictReader(io.StringIO(client.get("/api/studies/1/trials.csv").text)))
    assert len(whole) == len(rows) == 30
    one = client.get("/api/studies/1/trials/7").json
    assert whole[6] == {name: value for name, value in one.items() if name in whole[6]}
    assert rows[6]["requested vm.swappiness"] == str(one["requested"]["vm.swappiness"])
    assert float(rows[6]["reward"]) == one["reward"]
    assert json.loads(rows[6]["seconds"]) == one["seconds"]


def hostile_store(url: str) -> int:
    """A store with markup and formulas in every text field."""
    engine = open_store(url)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    mess = {
        HOSTILE: HOSTILE,
        "reward_metric": HOSTILE,
        "action_space": [{"param": HOSTILE}, HOSTILE, None],
        "training_config": HOSTILE,
    }
    with Session(engine) as session:
        study = StudyRow(
            workload_name=HOSTILE, study=mess, seed=1, started=now, phase=HOSTILE[:16], verdict=None, reason=HOSTILE
        )
        session.add(study)
        session.flush()
        host = HostRow(study_id=study.id, name=HOSTILE, facts=mess, original_values=mess, lost=HOSTILE, doing=HOSTILE)
        session.add(host)
        session.flush()
        for number in range(1, 4):
            session.add(
                TrialRow(
                    study_id=study.id,
                    host_id=host.id,
                    id=number,
                    phase="train",
                    requested={HOSTILE: HOSTILE},
                    original=False,
                    applied=mess,
                    state="complete" if number == 1 else "failed",
                    health=mess,
                    stability_parts=mess,
                    uncertainty=0.0,
                    metric=1e308 if number == 1 else None,
                    streamed=[],
                    metrics=mess,
                    performance=1e308 if number == 1 else None,
                    reward=-1e308,
                    observations=mess,
                    seconds=mess,
                    error=None if number == 1 else HOSTILE,
                    finished=now,
                )
            )
        session.add(EventRow(study_id=study.id, at=now, host=HOSTILE, text=HOSTILE))
        session.commit()
        study_id = study.id
    engine.dispose()
    return study_id


def test_markup_in_the_store_is_escaped(url):
    study_id = hostile_store(url)
    client = create_app(url).test_client()
    paths = [
        "/",
        "/studies/{0}",
        "/studies/{0}/trials",
        "/studies/{0}/trials/1",
        "/studies/{0}/trials/2",
    ]
    for path in [*paths, "/compare?study={0}", "/?q=<script>alert(1)</script>"]:
        answer = client.get(path.format(study_id))
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<img src=x" not in answer.text, path
    for path in ("", "/data", "/trials", "/trials/1", "/trials.json", "/trials.csv"):
        answer = client.get(f"/api/studies/{study_id}{path}")
        assert answer.status_code == 200, path
        assert answer.mimetype in ("application/json", "text/csv"), path
    from ansible_collections.autotune.kernel.dashboard.charts import CHARTS

    for name in CHARTS:
        assert client.get(f"/api/studies/{study_id}/charts/{name}").status_code == 200, name


def test_formulas_are_escaped_in_csv(url):
    study_id = hostile_store(url)
    engine = open_store(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE trials SET error = '=cmd|x' WHERE id = 2"))
        connection.execute(text("UPDATE hosts SET name = '@host'"))
    rows = list(
        csv.DictReader(io.StringIO(create_app(url).test_client().get(f"/api/studies/{study_id}/trials.csv").text))
    )
    assert (rows[1]["error"], rows[1]["host"], rows[0]["reward"]) == ("'=cmd|x", "'@host", "-1e+308")


def test_an_invalid_result_breaks_no_page(url):
    study_id = dashboard_store.fill(url, trials=10, hosts=1)
    engine = open_store(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE studies SET result = '[1, 2]'"))
    client = create_app(url).test_client()
    assert [client.get(path).status_code for path in ("/", "/api/studies", f"/api/studies/{study_id}")] == [200] * 3


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////nowhere/at/all.sqlite", "there is no store /nowhere/at/all.sqlite"),
        ("sqlite://", "is not a file"),
        ("nonsense", "cannot be used"),
        ("nodb://host/name", "cannot be used"),
        ("mysql://host/name", "MySQLdb is not installed"),
    ],
)
def test_a_missing_store_is_reported_on_one_line(url, message):
    with pytest.raises(StoreError, match=message) as caught:
        create_app(url)
    assert "\n" not in str(caught.value)
    assert "--store" in str(caught.value)


def test_another_database_is_refused(tmp_path):
    open_store(f"sqlite:///{tmp_path / 'other.sqlite'}").dispose()
    import sqlite3

    with sqlite3.connect(tmp_path / "plain.sqlite") as plain:
        plain.execute("CREATE TABLE t (x)")
    (tmp_path / "text.sqlite").write_text("no database at all" * 100)
    with pytest.raises(StoreError, match="no table of studies"):
        create_app(f"sqlite:///{tmp_path / 'plain.sqlite'}")
    with pytest.raises(StoreError, match="cannot read the store"):
        create_app(f"sqlite:///{tmp_path / 'text.sqlite'}")


def test_the_csv_has_every_field_of_the_json(client_of, study_id):
    of_json = client_of().get(f"/api/studies/{study_id}/trials.json").get_json()[0]
    head = client_of().get(f"/api/studies/{study_id}/trials.csv").get_data(as_text=True).splitlines()[0]
    columns = {column.split(" ")[0] for column in next(csv.reader([head]))}
    assert set(of_json) == columns
