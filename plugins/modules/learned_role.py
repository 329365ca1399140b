#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: learned_role
short_description: Write the role, the playbooks and the report of a study
version_added: "0.1.0"
description:
  - Reads C(result.json), which a study's run has written, and writes beside it what follows from it.
  - With the verdict C(improved) these are the role, C(apply.yml), C(rollback.yml), C(collections/requirements.yml)
    and C(report.html).
  - With any other verdict only C(report.html). A role and an C(apply.yml) of an earlier run are removed, because they
    no longer are what the result beside them says. A C(rollback.yml) stays, since the earlier role may be in use.
  - A file without a line C(Written by autotune.kernel) is neither overwritten nor removed; the task fails and names it.
options:
  path:
    description:
      - The folder that holds C(result.json), usually C(learned/<workload>), on the controller.
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
    description: Reports what would change; writes nothing.
    support: full
  diff_mode:
    description: Shows every file but the report before and after.
    support: full
  platform:
    description: Where it runs.
    support: full
    platforms: posix
notes:
  - Runs on the controller and does not connect to the host. Use C(run_once) in a play with several hosts.
  - The same C(result.json) always gives the same files, so a second run changes nothing.
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
  description: The files that belong to the result, as absolute paths.
  returned: success
  type: list
  elements: str
  sample: [/home/me/learned/wan/report.html, /home/me/learned/wan/apply.yml]
role:
  description: The learned role's name, V(none) where the verdict allows no role.
  returned: success
  type: str
  sample: wan
"""
