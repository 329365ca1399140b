# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long a run takes: from an earlier study of the workload, or from the limits of its benchmark."""

from __future__ import annotations

import math
from typing import Any

from ..dashboard.formatting import count, duration
from ..plugins.plugin_utils._store.store import StoreError
from ..plugins.plugin_utils._study.study import Study
from .mcp_reading import Reading


def expected(study: Study, hosts: int, reading: Reading) -> dict[str, Any]:
    """trials_at_most; seconds, an estimate; duration, the same in words."""
    trials = study.trials_on(hosts)
    most = f"at most {count(trials, 'trial')} on {count(hosts, 'host')}"
    if found := _pace(study, reading):
        study_id, pace = found
        seconds = pace * trials / hosts
        said = f"{most}; in study {study_id}, a host took {duration(pace)} for a trial: up to {duration(seconds)}"
    else:
        longest = study.longest_timeout + study.longest_warm_up
        seconds = longest * math.ceil(trials / hosts)
        said = (
            f"{most}; its benchmarks are ended after {duration(longest)} with their warm-up, so they take less than "
            f"{duration(seconds)}, without pauses and what else precedes them"
        )
    return {"trials_at_most": trials, "seconds": seconds, "duration": said}


def _pace(study: Study, reading: Reading) -> tuple[int, float] | None:
    """The latest study of the workload, if it has ended, and the seconds that a host of it needed for a trial."""
    try:
        latest = reading.latest(study.workload_name)
    except StoreError:
        return None
    result = reading.feed(latest["id"]).study["result"] if latest else None
    if not latest or not isinstance(result, dict):
        return None
    seconds, trials = result.get("seconds", {}).get("total"), result.get("trials", {}).get("total")
    return (latest["id"], seconds * max(latest["hosts"], 1) / trials) if seconds and trials else None
