# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A claim that is lost while its study runs: it is taken again, and the user is told what he may have to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._store import claim as claims
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import OperationalError

AWAY = "the store sqlite:// does not answer: server closed the connection"


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


@pytest.fixture
def answers() -> list[Any]:
    """What comes of each try to take the claim again: an error, a connection, or None where another one has it."""
    return []


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def keeping(engine: Engine, answers: list[Any], told: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of a claim whose connection has just been lost."""

    def again(engine: Engine, study_id: int) -> Connection | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr(claims, "_claim_in_database", again)
    return claims._Keeping(claims.Claim(None), engine, 7, told.append)


def away() -> OperationalError:
    return OperationalError("SELECT 1", {}, Exception("server closed the connection"))


@pytest.mark.parametrize(
    ("answer", "why"), [(away(), AWAY), (None, "another connection to the store holds it")], ids=["away", "taken"]
)
def test_a_claim_that_stays_lost_is_told_once_and_so_is_its_return(
    answer: Any, why: str, keeping: Any, engine: Engine, answers: list[Any], told: list[str]
) -> None:
    answers += [answer] * 60
    for second in range(60):
        keeping.look(100.0 + second)
        assert len(told) == (second >= 10)
    assert told == [f"study 7 cannot be kept for this run alone, and another one may take it: {why}"]
    with engine.connect() as connection:
        answers.append(connection)
        for second in range(3):
            keeping.look(160.0 + second)
    assert told[1:] == ["study 7 is this run's again"]


def test_a_server_that_was_started_again_is_not_worth_a_word(
    keeping: Any, engine: Engine, answers: list[Any], told: list[str]
) -> None:
    with engine.connect() as connection:
        answers += [away(), None, connection]
        for second in range(5):
            keeping.look(100.0 + second)
    assert told == []
    assert answers == []


def test_what_is_taken_again_after_the_end_is_given_back(keeping: Any, engine: Engine, answers: list[Any]) -> None:
    connection = engine.connect()
    answers.append(connection)
    keeping.claim.release()
    keeping.look(100.0)
    assert connection.closed
