# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a run's page says beside its status: the best configuration, the evidence in figures, and what failed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, geometric_mean, median, stdev
from typing import Any

from ..plugins.plugin_utils._outcome.verdict import is_proved, metrics
from .configuration import as_sysctl, as_yaml, changes
from .feed import Feed
from .formatting import per_cent, probability
from .queries import Trial
from .updates import of_evaluation

_FAILURES = 100  # shown; the table of evaluations has all


def report(feed: Feed) -> dict[str, Any]:
    """best: the configuration, or None; evidence: the proof's, or None; failures; reasons, each with its count."""
    with feed.changed:
        failures = [e for e in feed.evaluations if e.failed]
        leader, result = feed.best, feed.study["result"] or {}
        own = {e.host: e.requested for e in feed.evaluations if e.phase == "baseline"}
    reasons = Counter((e.error or "").splitlines()[0] if e.error else "" for e in failures)
    return {
        "best": _best(feed.study, own, leader, result),
        "evidence": evidence(result),
        "failures": [of_evaluation(e) for e in reversed(failures[-_FAILURES:])],
        "reasons": reasons.most_common(12),
    }


def _best(
    study: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]], leader: Trial | None, result: Mapping[str, Any]
) -> dict[str, Any] | None:
    proved = is_proved(result)
    values = result.get("best_config") or (leader.requested if leader else None)
    if not values:
        return None
    what = f"proved, {per_cent(result.get('improvement'))}" if proved else "not proved: do not roll this out"
    head = f"# Study {study['id']}: {what}. Written by the page of autotune.kernel.\n"
    return {
        "proved": proved,
        "role": result.get("verdict") == "improved",
        "values": values,
        "changes": changes(study["study"], own, values),
        "evaluation": of_evaluation(leader) if leader else None,
        "reward": result.get("best_reward") if result.get("best_config") else (leader.reward if leader else None),
        "is_leader": leader is not None and dict(leader.requested) == dict(values),
        "yaml": head + as_yaml(values),
        "sysctl": head + as_sysctl(values),
    }


def evidence(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Both arms of the pairs in figures; None where there are no pairs."""
    pairs: Sequence[Mapping[str, Any]] = result.get("evidence") or ()
    if not pairs:
        return None
    sign = -1 if result.get("direction") == "minimise" else 1
    arms = {name: [pair[name] for pair in pairs] for name in ("baseline", "candidate")}
    first = sum(pair.get("first") == "baseline" for pair in pairs)
    return {
        "pairs": pairs,
        "better": sum(_change(pair, sign) > 0 for pair in pairs),
        "baseline_first": first,
        "arms": {name: _arm(metrics) for name, metrics in arms.items()},
        "significant": is_proved(result),
        "words": _words(result),
    }


def _change(pair: Mapping[str, Any], sign: int) -> float:
    """Above 0 is better: over all objectives, as the pair itself says, or else in the metric."""
    log_ratio: float | None = pair.get("log_ratio")
    return sign * (pair["candidate"] - pair["baseline"]) if log_ratio is None else log_ratio


def _arm(metrics: Sequence[float]) -> dict[str, Any]:
    positive = [metric for metric in metrics if metric > 0]
    return {
        "runs": len(metrics),
        "mean": geometric_mean(positive) if positive else None,
        "median": median(metrics),
        "lowest": min(metrics),
        "highest": max(metrics),
        "cv_percent": 100 * stdev(metrics) / fmean(metrics) if len(metrics) > 1 and fmean(metrics) else None,
    }


def _words(result: Mapping[str, Any]) -> str:
    """What the interval means, for those who do not read intervals."""
    interval, metric = result.get("interval"), metrics(result)
    if not interval or not all(map(math.isfinite, interval)):
        return "There are too few pairs to say anything."
    share = f"{100 * result.get('confidence', 0.95):.3g} %"
    low, high = map(per_cent, interval)
    p_value = result.get("p_value")
    p = (
        f" If there were none, pairs like these would come with probability {probability(p_value)}."
        if p_value is not None
        else ""
    )
    if is_proved(result):
        return f"With {share} confidence the gain in {metric} lies between {low} and {high}.{p}"
    if interval[0] <= 0 <= interval[1]:
        return f"Not significant: the change in {metric} may be anything between {low} and {high}, no change among it."
    return f"The change in {metric} lies between {low} and {high}, which is not what the study asks of an improvement."


def side_by_side(studies: Sequence[Mapping[str, Any]], leaders: Sequence[Trial | None]) -> list[dict[str, Any]]:
    """Each parameter with its value in the best configuration of every study, None where a study has none."""
    best = [
        dict((study["result"] or {}).get("best_config") or (leader.requested if leader else {}))
        for study, leader in zip(studies, leaders, strict=True)
    ]
    rows = []
    for param in dict.fromkeys(param for values in best for param in values):
        values = [str(own[param]) if param in own else None for own in best]
        rows.append({"param": param, "values": values, "same": len(set(values)) == 1})
    return rows
