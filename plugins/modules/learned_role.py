#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: learned_role
short_description: Generate the role, the playbooks and the report of a study
version_added: "0.1.0"
description:
  - Reads the C(result.json) of a study and generates files beside it.
  - If the verdict is C(improved), writes the learned role, C(apply.yml), C(rollback.yml),
    C(collections/requirements.yml) and C(report.html).
  - Otherwise writes only C(report.html), and removes the role and the C(apply.yml) of an earlier run, which the result
    no longer supports. C(rollback.yml) is kept, because the earlier role may still be applied.
  - Files without a line C(Written by autotune.kernel) are neither overwritten nor removed; the task fails and names
    them.
options:
  path:
    description:
      - The folder on the controller that contains C(result.json), usually C(learned/<workload>).
    type: path
    required: true
attributes:
  action:
    description: An action plugin of the same name does the work, on the controller.
    support: full
  async:
    description: Can be used with the C(async) keyword.
    support: none
  check_mode:
    description: Reports what would change without writing anything.
    support: full
  diff_mode:
    description: Shows every file except the report before and after.
    support: full
  platform:
    description: Supported platforms.
    support: full
    platforms: posix
notes:
  - Runs on the controller without connecting to the host. Use C(run_once) in a play with several hosts.
  - Idempotent; the same C(result.json) always yields the same files.
seealso:
  - module: autotune.kernel.sysctl
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Write the learned role
  autotune.kernel.learned_role:
    path: learned/wan
  run_once: true
"""

RETURN = r"""
files:
  description: Absolute paths of the files that belong to the result.
  returned: success
  type: list
  elements: str
  sample: [/home/me/learned/wan/report.html, /home/me/learned/wan/apply.yml]
role:
  description: Name of the learned role; V(none) unless the verdict is C(improved).
  returned: success
  type: str
  sample: wan
"""
