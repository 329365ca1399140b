# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Messages about a study for the stream, the API and the pages; openapi.py describes their fields."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .feed import Cursor, Feed
from .queries import Event, Trial

Message = dict[str, Any]

FIRST_TRIALS = 20
FIRST_EVENTS = 200
# A client that has missed more starts anew.
_MAX_MISSED = 2000


def first_message(feed: Feed) -> Message:
    """The study now, and its latest trials and events."""
    with feed.changed:
        return _message(feed, feed.trials[-FIRST_TRIALS:], feed.events[-FIRST_EVENTS:])


def message_after(feed: Feed, cursor: Cursor | None) -> Message:
    """The study now, and what is new since the cursor; a first message, marked `reset`, if the cursor is unknown or
    too old."""
    with feed.changed:
        if cursor is not None and feed.knows(cursor):
            trials, events = feed.trials_since(cursor), feed.events_since(cursor)
            if len(trials) <= _MAX_MISSED and len(events) <= _MAX_MISSED:
                return _message(feed, trials, events)
        return first_message(feed) | {"reset": True}


def _message(feed: Feed, trials: list[Trial], events: list[Event]) -> Message:
    return {
        "cursor": str(feed.cursor),
        "status": status_of(feed),
        "hosts": [host._asdict() for host in feed.hosts],
        "trials": [of_trial(trial) for trial in trials],
        "events": [event._asdict() for event in events],
    }


def status_of(feed: Feed) -> Message:
    """The study now. reward and best_*: of training, so that they are comparable. left_seconds: as on the terminal."""
    study = feed.study
    done, planned = len(feed.trials), max(study["trials_planned"] or 0, len(feed.trials))
    now = feed.updated if feed.interrupted and feed.updated else datetime.now(UTC)
    left = 0.0 if study["finished"] else None if feed.interrupted else study["left_seconds"]
    return {
        "phase": study["phase"],
        "verdict": study["verdict"],
        "reason": study["reason"],
        "interrupted": feed.interrupted,
        "trials": done,
        "trials_planned": planned,
        "not_needed": (study["result"] or {}).get("not_needed", 0),
        "failed": feed.failed,
        "best_percent": feed.best.change_percent if feed.best else None,
        "best_trial": feed.best.id if feed.best else None,
        "reward": feed.reward,
        "best_reward": feed.best_reward,
        "episode": feed.trained // steps_per_episode(study),
        "elapsed_seconds": feed.worked(study["finished"] or now),
        "left_seconds": left,
        "updated": feed.updated,
        "request": feed.request,
    }


def steps_per_episode(study: Mapping[str, Any]) -> int:
    steps = study["study"]["training_config"].get("max_steps_per_episode")
    return steps if isinstance(steps, int) and steps > 0 else 10


def of_trial(trial: Trial) -> Message:
    fields = ("id", "phase", "label", "host", "metric", "change_percent", "reward", "stability", "state", "error")
    return {name: getattr(trial, name) for name in (*fields, "finished")}


def as_json(content: Any) -> str:
    """JSON on one line as browsers accept it: times in ISO 8601, null for NaN and infinity."""
    try:
        return json.dumps(content, default=_iso, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(content), default=_iso, allow_nan=False, separators=(",", ":"))


def _iso(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat(timespec="milliseconds")
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
