from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.dashboard.settings import Settings
from sqlalchemy import create_engine, text

TOKEN = "t" * 43


@pytest.fixture(autouse=True)
def there_is_a_study(study_id):
    return study_id


def csrf_of(client) -> str:
    with client.session_transaction() as session:
        return session["csrf"]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "a:b:c", "x:99999999"]
)
def test_an_unknown_host_name_is_refused(client_of, host):
    answer = client_of().get("/", headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert answer.status_code == 400 or ("--host-name" in answer.text and "dashboard_host_names" in answer.text)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8470", "localhost:1", "[::1]:8470", "192.0.2.7", socket.gethostname(), "Tuning.Example.org"]
)
def test_known_host_names_are_allowed(client_of, host):
    assert client_of(host_names=("tuning.example.org",)).get("/", headers={"Host": host}).status_code == 200


def test_every_answer_has_the_security_headers(client_of, study_id):
    client = client_of()
    for path in ("/", f"/studies/{study_id}", f"/api/studies/{study_id}", "/nowhere", "/static/base.css"):
        headers = client.get(path).headers
        policy = dict(entry.split(" ", 1) for entry in headers["Content-Security-Policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == (
            "'none'",
            "'self'",
            "'none'",
        )
        assert policy["connect-src"] == "'self'"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
    assert client.get(f"/api/studies/{study_id}").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        (Settings(), False),
        (Settings(host="::1"), False),
        (Settings(host="localhost"), False),
        (Settings(host="0.0.0.0"), True),  # noqa: S104
        (Settings(host="192.0.2.7"), True),
        (Settings(host="somewhere.example"), True),
        (Settings(prefix="/autotune"), True),
    ],
)
def test_other_machines_need_a_token(settings, needs):
    assert settings.needs_token is needs


@pytest.mark.parametrize(
    "path", ["/", "/studies/1", "/api/studies", "/api/studies/1/stream", "/static/base.css", "/nowhere"]
)
def test_nothing_is_served_without_the_token(client_of, path):
    answer = client_of(token=TOKEN).get(path)
    assert (answer.status_code, answer.mimetype) == (401, "text/plain")


@pytest.mark.takes_seconds
@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "t", "\udcff", "ü" * 43])
def test_a_wrong_token_is_refused(client_of, token):
    client = client_of(token=TOKEN)
    assert client.get("/", query_string={"token": token.encode("utf-8", "surrogateescape")}).status_code == 403
    assert client.get("/").status_code == 401
    assert client.get("/", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_the_token_is_exchanged_for_a_cookie(client_of):
    client = client_of(token=TOKEN)
    answer = client.get(f"/studies/1?token={TOKEN}&page=2")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/1?page=2")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/studies/1").status_code == 200


def test_the_cookie_is_secure_behind_tls(client_of):
    answer = client_of(token=TOKEN).get(f"/?token={TOKEN}", base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_cookie_of_another_token_is_refused(client_of):
    client = client_of(token=TOKEN)
    name, dummy, value = client.get(f"/?token={TOKEN}").headers["Set-Cookie"].split(";")[0].partition("=")
    for token, code in (("u" * 43, 401), (TOKEN, 200)):
        other = client_of(token=token)
        other.set_cookie(name, value)
        assert other.get("/").status_code == code


def test_programs_send_the_token_in_a_header(client_of):
    assert client_of(token=TOKEN).get("/api/studies", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def requests_in(url: str) -> list[tuple[str, str]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text("SELECT kind, by FROM requests"))]
    engine.dispose()
    return found


@pytest.mark.parametrize("kind", ["stop", "restore"])
def test_a_request_reaches_the_store_with_its_address(client_of, running_study, url, kind):
    client = client_of()
    page = f"/studies/{running_study.study_id}"
    client.get(page)
    answer = client.post(f"{page}/{kind}", data={"csrf_token": csrf_of(client)}, headers={"Origin": "http://localhost"})
    assert (answer.status_code, answer.headers["Location"]) == (303, page)
    assert requests_in(url) == [(kind, "127.0.0.1")]
    status = client.get(f"/api{page}/data").json["status"]
    assert (status["request"]["kind"], status["request"]["by"]) == (kind, "127.0.0.1")


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("forged", {}),
        ("own", {"Origin": "http://evil.example"}),
        ("own", {"Origin": "null"}),
        ("own", {"Origin": "https://localhost"}),
        ("own", {"Origin": "http://localhost:1"}),
        ("own", {"Sec-Fetch-Site": "cross-site"}),
    ],
)
def test_requests_of_other_sites_are_refused(client_of, running_study, url, token, headers):
    client = client_of()
    page = f"/studies/{running_study.study_id}"
    client.get(page)
    given = csrf_of(client) if token == "own" else token  # noqa: S105 (a word for it)
    assert client.post(f"{page}/stop", data={"csrf_token": given}, headers=headers).status_code == 403
    assert requests_in(url) == []


def test_requests_without_a_session_are_refused(client_of, running_study, url):
    page = f"/studies/{running_study.study_id}"
    assert client_of().post(f"{page}/stop", data={"csrf_token": ""}).status_code == 403
    assert requests_in(url) == []


def test_a_program_with_the_token_needs_no_form(client_of, running_study, url):
    client = client_of(token=TOKEN)
    path = f"/studies/{running_study.study_id}/stop"
    asking = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    answer = client.post(path, headers=asking)
    assert (answer.status_code, answer.json) == (202, {"requested": "stop"})
    assert client.post(path, headers={"Accept": "application/json"}).status_code == 401
    assert len(requests_in(url)) == 1


def test_a_page_of_a_study_that_is_gone_does_not_stop_the_one_that_has_its_number(client_of, running_study, url):
    client = client_of()
    path = f"/studies/{running_study.study_id}"
    page = client.get(path).get_data(as_text=True)
    (started,) = set(re.findall(r'name="started" value="([^"]+)"', page))
    form = {"csrf_token": csrf_of(client), "started": "2026-11-20T08:00:00+00:00"}
    answer = client.post(f"{path}/stop", data=form)
    assert (answer.status_code, "another study" in answer.get_data(as_text=True)) == (409, True)
    assert requests_in(url) == []
    assert client.post(f"{path}/stop", data={**form, "started": started}).status_code == 303


def test_a_finished_study_cannot_be_stopped(client_of, study_id, url):
    client = client_of()
    client.get(f"/studies/{study_id}")
    answer = client.post(f"/studies/{study_id}/stop", data={"csrf_token": csrf_of(client)})
    assert answer.status_code == 409
    assert requests_in(url) == []


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_only_post_is_allowed(client_of, running_study, method):
    path = f"/studies/{running_study.study_id}/stop"
    assert getattr(client_of(), method)(path).status_code == 405


def test_a_large_body_is_refused(client_of, running_study):
    answer = client_of().post(f"/studies/{running_study.study_id}/stop", data={"csrf_token": "x" * 200_000})
    assert answer.status_code in (403, 413)


def test_the_store_is_opened_read_only(client_of, study_id, url, tmp_path: Path):
    before = (tmp_path / "store.sqlite").read_bytes()
    client = client_of()
    for path in ("/", f"/studies/{study_id}", f"/api/studies/{study_id}/trials.csv"):
        assert client.get(path).status_code == 200
    assert (tmp_path / "store.sqlite").read_bytes() == before
    feeds = client.application.extensions["feeds"]
    with feeds.store.reading() as connection, pytest.raises(Exception, match="readonly"):
        connection.execute(text("DELETE FROM events"))
