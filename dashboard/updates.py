# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The message by which a page keeps up: the same over the stream, from /data and in a page's first paint.

cursor       how far it goes: what is new after it is asked for with ?after=CURSOR
status       the study now, see status_of()
hosts        every host now: name, doing, since, lost, evaluations, failures, baseline_metric, restored
evaluations  those that ended since: id, phase, label (of its values), host, metric, change_percent (None of original
             values), reward, stability, error, finished
events       those that happened since: id, at, host, text
reset        only where the message is not what came after the cursor that was asked for, but a new beginning:
             the last FIRST_EVALUATIONS and FIRST_EVENTS, and everything else anew
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from .feed import Cursor, Feed
from .queries import Event, Host, Trial

Message = dict[str, Any]

FIRST_EVALUATIONS = 20
FIRST_EVENTS = 200
# Whoever has missed more gets a new beginning instead: his charts come anew in any case.
_MOST_MISSED = 2000


def first_message(feed: Feed) -> Message:
    """What a page shows at first: the study now, and the last of what happened."""
    with feed.changed:
        return _message(feed, feed.evaluations[-FIRST_EVALUATIONS:], feed.events[-FIRST_EVENTS:])


def message_after(feed: Feed, cursor: Cursor | None) -> Message:
    """What is new since the cursor; a new beginning where the cursor is unknown or too far back."""
    with feed.changed:
        if cursor is not None and feed.knows(cursor):
            evaluations, events = feed.evaluations_since(cursor), feed.events_since(cursor)
            if len(evaluations) <= _MOST_MISSED and len(events) <= _MOST_MISSED:
                return _message(feed, evaluations, events)
        return first_message(feed) | {"reset": True}


def _message(feed: Feed, evaluations: list[Trial], events: list[Event]) -> Message:
    return {
        "cursor": str(feed.cursor),
        "status": status_of(feed),
        "hosts": [_of_host(host) for host in feed.hosts],
        "evaluations": [of_evaluation(evaluation) for evaluation in evaluations],
        "events": [_of_event(event) for event in events],
    }


def status_of(feed: Feed) -> Message:
    """The study now.

    best_percent, best_number, best_reward, reward (the latest): of training, so that they can be compared. not_needed:
    evaluations that were planned and that the verdict did without. elapsed_seconds: while it ran. left_seconds: at the
    pace so far. updated: when something last happened. asked: what somebody wants of the study: kind, at, by, taken_at.
    interrupted: it has not ended, and no trainer works on it any more.
    """
    study, last = feed.study, feed.evaluations[-1] if feed.evaluations else None
    done, planned = len(feed.evaluations), max(study["evaluations_planned"] or 0, len(feed.evaluations))
    now = feed.updated if feed.interrupted and feed.updated else datetime.now(UTC)
    until = study["finished"] or now
    left = None
    if study["finished"]:
        left = 0.0
    elif last and not feed.interrupted:
        # The other hosts are, on average, in the middle of an evaluation: at the beginning that makes a difference.
        pace = feed.worked(last.finished) / (done + max(len(feed.hosts) - 1, 0) / 2)
        left = pace * (planned - done)
    return {
        "phase": study["phase"],
        "verdict": study["verdict"],
        "reason": study["reason"],
        "interrupted": feed.interrupted,
        "evaluations": done,
        "evaluations_planned": planned,
        "not_needed": _not_needed(study["result"]),
        "failed": feed.failed,
        "best_percent": feed.best.change_percent if feed.best else None,
        "best_number": feed.best.id if feed.best else None,
        "reward": feed.reward,
        "best_reward": feed.best_reward,
        "episode": episode(study, feed.trained),
        "elapsed_seconds": feed.worked(until),
        "left_seconds": left,
        "updated": feed.updated,
        "asked": feed.request,
    }


def _not_needed(result: Any) -> int:
    found = result.get("not_needed") if isinstance(result, dict) else None
    return found if isinstance(found, int) else 0


def steps_an_episode(study: dict[str, Any]) -> int:
    steps = study["study"]["training_config"].get("max_steps_per_episode")
    return steps if isinstance(steps, int) and steps > 0 else 10


def episode(study: dict[str, Any], trained: int) -> int:
    return trained // steps_an_episode(study)


def _of_host(host: Host) -> Message:
    return host._asdict()


def of_evaluation(evaluation: Trial) -> Message:
    return {
        "id": evaluation.id,
        "phase": evaluation.phase,
        "host": evaluation.host,
        "metric": evaluation.metric,
        "label": evaluation.label,
        "change_percent": evaluation.gain_percent,
        "reward": evaluation.reward,
        "stability": evaluation.stability,
        "error": evaluation.error,
        "finished": evaluation.finished,
    }


def _of_event(event: Event) -> Message:
    return event._asdict()


def as_json(content: Any) -> str:
    """JSON as browsers read it, in one line: moments in ISO 8601, and null for what is no finite number."""
    try:
        return json.dumps(content, default=_plain, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(content), default=_plain, allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat(timespec="milliseconds")
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
