#!/usr/bin/env python3
# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's hosts as a dynamic inventory, however many there are: what playbooks/lab.yml wrote into the lab's folder.

Another folder than /run/autotune-lab: set AUTOTUNE_LAB_DIRECTORY, or use its inventory.json as inventory.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def script_form(inventory: dict[str, Any]) -> dict[str, Any]:
    """Ansible's form for inventory scripts, from its form for inventory files."""
    groups = {name: {**group, "hosts": list(group["hosts"])} for name, group in inventory.items()}
    return {**groups, "_meta": {"hostvars": {host: own for group in inventory.values() for host, own in group["hosts"].items()}}}


if __name__ == "__main__":
    written = Path(os.environ.get("AUTOTUNE_LAB_DIRECTORY", "/run/autotune-lab")) / "inventory.json"
    try:
        print(json.dumps(script_form(json.loads(written.read_text(encoding="utf-8")))))
    except OSError as error:
        sys.exit(f"no lab that this user may read ({written}: {error.strerror}): build one, as root, with playbooks/lab.yml")
