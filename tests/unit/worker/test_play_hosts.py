from __future__ import annotations

from typing import Any

from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.worker import _known_hosts

SEEN = {"exists": True, "readable": True, "writable": True, "why_not_writable": None, "safe_range": [[0, 200]]}
GONE = {**SEEN, "exists": False, "writable": False, "why_not_writable": "it does not exist here"}


def variables(batch: list[str], **found: dict[str, Any]) -> dict[str, Any]:
    hostvars = {name: {"autotune_host": facts} for name, facts in found.items()}
    return {"ansible_play_batch": batch, "ansible_play_hosts_all": list(found), "hostvars": hostvars}


def test_a_host_that_has_failed_meanwhile_still_counts() -> None:
    """A worker that starts late, for want of forks, must read the same study as those before it."""
    both = {"lab1": {"parameters": {"vm.a": SEEN}}, "lab2": {"parameters": {"vm.a": GONE}}}
    early, late = variables(["lab1", "lab2"], **both), variables(["lab1"], **both)
    assert _known_hosts(early) == _known_hosts(late)
    assert _known_hosts(late)[1].lacking == {"vm.a": "does not have it"}


def test_nothing_is_known_where_nobody_looked() -> None:
    assert _known_hosts(variables(["lab1", "lab2"], lab1={}, lab2={"failed": True})) == []
    assert _known_hosts({"ansible_play_hosts_all": ["a"], "hostvars": {"a": {}}}) == []
