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
  - Runs a study. It searches for the kernel parameters with which a benchmark performs best, and proves the improvement
    over the hosts' original values. The collection's playbook C(tune.yml) calls this module.
  - Runs on all hosts of the play at the same time. On each host it applies candidate values under a lease with
    M(autotune.kernel.sysctl) and runs the benchmark over a connection of its own. A trainer process on the controller
    collects the measurements and chooses the candidates.
  - When the study has finished, failed or been stopped with Ctrl-C, every host has its original values again.
  - Writes C(result.json) to a folder named after the workload below O(output).
options:
  study:
    description:
      - Path of the study file, in YAML or JSON. All errors in it are reported together, before any host is touched.
    type: path
    required: true
  store:
    description:
      - SQLAlchemy URL of the database that keeps every measurement, or path of a SQLite file. The default is
        E(AUTOTUNE_STORE), and without it C(autotune.sqlite) in O(output).
      - A password in the URL is neither shown nor stored. Do not put it on a command line, which other users can read;
        PostgreSQL also reads it from C(~/.pgpass).
    type: str
  output:
    description:
      - Folder for the result.
    type: path
    default: learned
  seed:
    description:
      - Makes the learner's choices repeatable. It overrides the seed in the study file. Without either, a random seed
        is used; the result contains it.
    type: int
  resume:
    description:
      - With V(true), resume the latest study of this workload that was stopped, killed or failed. With a number, resume
        the study with this ID.
      - Finished trials are kept and not repeated, and the seed stays the same. Hosts that have been rebooted
        measure their baseline again. The study file must not have changed, except for a larger C(total_timesteps).
    type: str
    default: "false"
  agent:
    description:
      - Folder with the Unix socket of a program that chooses the candidates of the training in place of the study's
        algorithm, as the collection's Gymnasium environment does. When that program ends, the study is stopped and
        every host gets its original values back.
      - A study that was stopped in this way can be resumed without O(agent).
    type: path
  run_on:
    description:
      - Inventory host that runs the benchmark, instead of what the study and the studies of its guard benchmarks say.
    type: str
  environment:
    description:
      - Environment variables of the benchmark on this host. They override those in the study file.
    type: dict
    default: {}
  lease_margin:
    description:
      - A lease lasts for the benchmark's timeout plus this many seconds. A host that has not heard from the controller
        for that long restores its original values by itself.
    type: int
    default: 60
  check:
    description:
      - Check the benchmark instead of running the study. Runs it some twenty times under a lease, with the host's own
        values, expert settings and the ends of the ranges, and says what its noise, warm-up, drift and carry-over are,
        which gains can be found, and what to change. Stores nothing.
    type: bool
    default: false
  compare:
    description:
      - Measure these sets of values, by name, side by side with the host's own and with expert settings of the study's
        parameters, instead of running the study. Each set is a dictionary of the study's parameters that it changes; an
        empty one measures the host's own values once more. In each round, every set is measured once, in random order.
        Stores nothing.
    type: dict
    default: {}
  rounds:
    description: Rounds of O(compare).
    type: int
    default: 10
  dry_run:
    description:
      - In check mode, also run the benchmark with the host's current values, as often as for the baseline, and report
        its noise. Has no effect without check mode.
    type: bool
    default: false
  debug:
    description:
      - Log the run in C(debug.log) beside C(result.json), with every message between workers and trainer, every module
        call with its arguments and result, and every decision. Passwords and the benchmark's environment are left out.
      - A new run replaces the log; a run that resumes a study continues it. Only its owner can read it.
    type: bool
    default: false
  parent_pid:
    description:
      - Process on the controller whose end stops the study, such as a program that has started the playbook.
        It must run when the play begins.
    type: int
attributes:
  action:
    description: An action plugin of the same name runs on the controller and calls modules on the hosts.
    support: full
  check_mode:
    description: Validates the study, connects to the hosts, and lets each host check both ends of every range as far as
      that is possible without writing.
    support: full
  diff_mode:
    description: No change is permanent, so there is nothing to show.
    support: none
  platform:
    description: The hosts and the controller run Linux.
    support: full
    platforms: linux
notes:
  - The controller needs the collection's Python packages, among them PyTorch and Stable-Baselines3.
  - Hosts are reached over C(ssh) or C(local) connections.
seealso:
  - module: autotune.kernel.sysctl
  - module: autotune.kernel.learned_role
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Learn kernel parameters for a workload
  autotune.kernel.evaluate:
    study: wan.yml
    environment:
      WAN_SERVER: 198.51.100.7
  register: learned

- name: Keep the measurements in PostgreSQL
  autotune.kernel.evaluate:
    study: wan.yml
    store: postgresql://tuner@db.example/autotune
    seed: 7

- name: Resume the run that was interrupted
  autotune.kernel.evaluate:
    study: wan.yml
    resume: true
"""

RETURN = r"""
decision:
  description:
    - V(go on) if the benchmark is fit for tuning, V(change) if it or the study is to be changed first, V(give up) if
      no probe changed the metric by as much as O(study)'s C(min_improvement). Unless it is V(go on), the task fails.
  returned: with O(check=true), unless in check mode
  type: str
  sample: go on
reason:
  description: What the decision rests on, or what to change first.
  returned: with O(check=true)
  type: str
  sample: the study takes up to 121 trials and 14 min on 1 host, and detects gains from 1.5 % on
advice:
  description: What would make the benchmark better, what is needed first.
  returned: with O(check=true)
  type: list
  elements: str
  sample: []
measured:
  description:
    - A dictionary for each run, with V(host), V(round), V(name), V(metric), and V(objective), the logarithm of the
      metric or, of several objectives, their weighted mean, signed so that larger is better. Both are null if the run
      failed.
  returned: with O(compare)
  type: list
  elements: dict
verdict:
  description:
    - V(improved), V(no_improvement) or V(stopped); V(none) in check mode or with O(check=true). If the study fails, the
      task fails.
  returned: success
  type: str
  sample: improved
path:
  description: The folder that contains C(result.json).
  returned: success
  type: str
  sample: learned/wan
"""
