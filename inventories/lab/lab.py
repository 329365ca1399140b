#!/usr/bin/env python3
# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's hosts as a dynamic inventory, however many there are: what playbooks/lab.yml wrote into the lab's folder.

Another folder than /run/autotune-lab: set AUTOTUNE_LAB_DIRECTORY, or use its inventory.json as inventory.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def script_form(inventory: dict[str, Any]) -> dict[str, Any]:
    """Ansible's form for inventory scripts, from its form for inventory files."""
    groups = {name: {**group, "hosts": list(group["hosts"])} for name, group in inventory.items()}
    variables = {host: own for group in inventory.values() for host, own in group["hosts"].items()}
    return {**groups, "_meta": {"hostvars": variables}}


if __name__ == "__main__":
    written = Path(os.environ.get("AUTOTUNE_LAB_DIRECTORY", "/run/autotune-lab")) / "inventory.json"
    try:
        inventory = json.loads(written.read_text(encoding="utf-8"))
    except OSError as error:
        # Not an exit code: Ansible would go on without hosts, and call that a success.
        hint = f"no lab here that you may use ({written}: {error.strerror}); as root, playbooks/lab.yml builds one"
        address = "{{ undef(hint=" + json.dumps(hint) + ") }}"
        inventory = {"lab": {"hosts": {"lab1": {}, "lab2": {}}, "vars": {"ansible_host": address}}}
    print(json.dumps(script_form(inventory)))
