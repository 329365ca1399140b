# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a study's page shows besides its status: the best configuration, the evidence and the failures."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any

from ..plugins.plugin_utils._outcome.variation import variation_percent
from ..plugins.plugin_utils._outcome.verdict import is_proved, metrics
from .configuration import as_sysctl, as_yaml, best_values, changes
from .feed import Feed
from .formatting import per_cent, probability
from .queries import Trial
from .updates import of_trial

_MAX_FAILURES = 100


def best_and_failures(feed: Feed) -> dict[str, Any]:
    """best: the best configuration, or None; failures: the latest, latest first; reasons: (reason, trials)."""
    with feed.changed:
        failures = [trial for trial in feed.trials if trial.failed]
        originals = {trial.host: trial.requested for trial in feed.trials if trial.phase == "baseline"}
    reasons = Counter((trial.error or "").partition("\n")[0] for trial in failures)
    return {
        "best": _best(feed.study, originals, feed.best),
        "failures": [of_trial(trial) for trial in reversed(failures[-_MAX_FAILURES:])],
        "reasons": reasons.most_common(12),
    }


def _best(
    study: Mapping[str, Any], originals: Mapping[str, Mapping[str, Any]], leader: Trial | None
) -> dict[str, Any] | None:
    """leader: the best training trial."""
    result = study["result"] or {}
    winner = result.get("best_config")
    values = best_values(result, leader)
    if not values:
        return None
    proved = is_proved(result)
    what = f"proved, {per_cent(result.get('improvement'))}" if proved else "not proved: do not roll this out"
    head = f"# Study {study['id']}: {what}. Written by the dashboard of autotune.kernel.\n"
    return {
        "proved": proved,
        "role": result.get("verdict") == "improved",
        "changes": changes(study["study"], originals, values, result.get("parameters") or ()),
        "trial": of_trial(leader) if leader else None,
        "reward": result.get("best_reward") if winner else leader and leader.reward,
        "is_leader": leader is not None and dict(leader.requested) == dict(values),
        "yaml": head + as_yaml(values),
        "sysctl": head + as_sysctl(values),
    }


def evidence(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pairs and both arms of the proof; None without pairs."""
    pairs: Sequence[Mapping[str, Any]] = result.get("evidence") or ()
    if not pairs:
        return None
    return {
        "pairs": pairs,
        "better": sum(pair["log_ratio"] > 0 for pair in pairs),
        "baseline_first": sum(pair.get("first") == "baseline" for pair in pairs),
        "arms": {name: _arm(pairs, name) for name in ("baseline", "candidate")},
        "proved": is_proved(result),
        "interpretation": _interpretation(result),
    }


def _arm(pairs: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    by_host = defaultdict(list)
    for pair in pairs:
        by_host[pair["host"]].append(pair[name])
    values = [pair[name] for pair in pairs]
    positive = [value for value in values if value > 0]
    return {
        "trials": len(values),
        "mean": geometric_mean(positive) if positive else None,
        "median": median(values),
        "minimum": min(values),
        "maximum": max(values),
        "cv_percent": variation_percent(by_host.values()),
    }


def _interpretation(result: Mapping[str, Any]) -> str:
    """The interval and the p-value in plain words."""
    interval, metric = result.get("interval"), metrics(result)
    if not interval or not all(map(math.isfinite, interval)):
        return "There are too few pairs for a conclusion."
    confidence = f"{100 * result.get('confidence', 0.95):.3g} %"
    low, high = map(per_cent, interval)
    if is_proved(result):
        p_value = result.get("p_value")
        improved = f"With {confidence} confidence, {metric} improves by {low} to {high}."
        if p_value is None:
            return improved
        extreme = "If there were no effect, results at least this extreme would have probability"
        return f"{improved} {extreme} {probability(p_value)}."
    if interval[0] <= 0 <= interval[1]:
        return f"The change in {metric} lies between {low} and {high}, which includes no change."
    if interval[1] < 0:
        least, most = (per_cent(-limit).removeprefix("+") for limit in reversed(interval))
        return f"{metric} got worse, by {least} to {most}."
    return f"The change in {metric} lies between {low} and {high}, which does not meet all conditions of the proof."


def side_by_side(feeds: Sequence[Feed]) -> list[dict[str, Any]]:
    """Each parameter with its value in the best configuration of every study, None if a study has none."""
    best = [dict(best_values(feed.study["result"], feed.best) or {}) for feed in feeds]
    rows = []
    for param in dict.fromkeys(param for values in best for param in values):
        values = [str(configuration[param]) if param in configuration else None for configuration in best]
        rows.append({"param": param, "values": values, "same": len(set(values)) == 1})
    return rows
