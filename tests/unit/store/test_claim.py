# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A claim that is lost while its study runs is taken again, and a long loss is reported to the user."""

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
    """The results of the attempts to take the lock again: an error, a connection, or None if it is held elsewhere."""
    return []


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def keeper(engine: Engine, answers: list[Any], reports: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The keeper of a claim whose connection has just been lost."""

    def claim_again(engine: Engine, study_id: int) -> Connection | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr(claims, "_claim_in_database", claim_again)
    return claims._ClaimKeeper(claims.Claim(None), engine, 7, reports.append)


def away() -> OperationalError:
    return OperationalError("SELECT 1", {}, Exception("server closed the connection"))


@pytest.mark.parametrize(
    ("answer", "reason"), [(away(), AWAY), (None, "another connection to the store holds it")], ids=["away", "taken"]
)
def test_a_long_loss_and_its_end_are_reported_once_each(
    answer: Any, reason: str, keeper: Any, engine: Engine, answers: list[Any], reports: list[str]
) -> None:
    answers += [answer] * 60
    for second in range(60):
        keeper.check(100.0 + second)
        assert len(reports) == (second >= 10)
    assert reports == [f"lost the lock on study 7: {reason}; do not resume it elsewhere"]
    with engine.connect() as connection:
        answers.append(connection)
        for second in range(3):
            keeper.check(160.0 + second)
    assert reports[1:] == ["study 7 is locked for this run again"]


def test_a_short_loss_is_not_reported(keeper: Any, engine: Engine, answers: list[Any], reports: list[str]) -> None:
    with engine.connect() as connection:
        answers += [away(), None, connection]
        for second in range(5):
            keeper.check(100.0 + second)
    assert reports == []
    assert answers == []


def test_a_lock_taken_after_the_release_is_released(keeper: Any, engine: Engine, answers: list[Any]) -> None:
    connection = engine.connect()
    answers.append(connection)
    keeper.claim.release()
    keeper.check(100.0)
    assert connection.closed
