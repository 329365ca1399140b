#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: evaluate
short_description: Learn kernel parameters for a workload
version_added: "0.1.0"
description:
  - Runs a study, that is searches for the kernel parameters with which a benchmark does best, and proves the gain
    against the hosts' own values. The collection's playbook C(tune.yml) calls it.
  - Runs on all hosts of the play at once. Each host gets candidate values by M(autotune.kernel.sysctl) under a lease
    and runs the benchmark, over a connection of its own. The measurements go to the trainer, a process of the
    controller, which the first host starts.
  - Ends when the study does. Every host then has its own values back; so it does after a failure and after Ctrl-C.
  - The result is in C(result.json) in a folder named for the workload, below O(output).
options:
  study:
    description:
      - Path of the study file, YAML or JSON. Every mistake in it is reported at once, before any host is touched.
    type: path
    required: true
  store:
    description:
      - SQLAlchemy URL of the database in which everything is kept. Without it, C(autotune.sqlite) in O(output).
      - A password in it is shown and kept nowhere. On a command line, which others can read, it should not be at all;
        PostgreSQL takes it from C(~/.pgpass) too.
    type: str
  output:
    description:
      - Folder for the result.
    type: path
    default: learned
  seed:
    description:
      - Makes the learner's choices repeatable; it wins over the study's. Without either, one is drawn and written into
        the result.
    type: int
  resume:
    description:
      - V(true) lets the latest study of this workload in the store go on that was stopped, or whose run was killed or
        failed. A number lets the study with this ID go on.
      - No evaluation is repeated or lost. Hosts that were not started again meanwhile keep their baseline. The seed is
        the study's. The study file must say the same, though C(total_timesteps) may be more.
    type: str
    default: "false"
  environment:
    description:
      - Environment variables for the benchmark on this host; they win over the study's.
    type: dict
    default: {}
  lease_margin:
    description:
      - How many seconds longer than the benchmark may take a host waits for its controller. Then it puts its own values
        back by itself, because the controller or the network is gone.
    type: int
    default: 60
  dry_run:
    description:
      - For check mode, without which it means nothing. Also run the benchmark with the values that the host has, as
        often as for the baseline, and tell its noise.
    type: bool
    default: false
  debug:
    description:
      - Log the run in C(debug.log) beside C(result.json), with every message between workers and trainer, every module
        call with its arguments and result, and every decision. Passwords and the benchmark's environment are left out.
      - A new run replaces the log; a run that resumes a study continues it. Only its owner can read it.
    type: bool
    default: false
attributes:
  action:
    description: Runs on the controller and calls modules on the hosts.
    support: full
  check_mode:
    description: Validates the study, looks at the hosts, connects, and has each host check both ends of every range as
      far as that can be done without writing.
    support: full
  diff_mode:
    description: Nothing stays changed, so there is nothing to show.
    support: none
  platform:
    description: Where the hosts run; the controller needs Linux too.
    support: full
    platforms: linux
notes:
  - The controller needs the collection's Python packages, among them PyTorch and Stable-Baselines3.
  - Hosts are reached through C(ssh) or C(local) connections.
seealso:
  - module: autotune.kernel.sysctl
  - module: autotune.kernel.learned_role
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Learn what is good for this workload
  autotune.kernel.evaluate:
    study: wan.yml
    environment:
      WAN_SERVER: 198.51.100.7
  register: learned

- name: Keep the measurements in a database
  autotune.kernel.evaluate:
    study: wan.yml
    store: postgresql://tuner@db.example/autotune
    seed: 7

- name: Go on where the last run was interrupted
  autotune.kernel.evaluate:
    study: wan.yml
    resume: true
"""

RETURN = r"""
verdict:
  description: How the study ended, V(improved), V(no_improvement) or V(stopped); a study that failed is a task that
    failed. In check mode it is V(none).
  returned: success
  type: str
  sample: improved
path:
  description: The folder that holds C(result.json).
  returned: success
  type: str
  sample: learned/wan
"""
