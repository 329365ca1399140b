#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: doctor
short_description: Look for what would make a study fail
version_added: "0.1.0"
description:
  - Examines hosts, the controller, the inventory and a study, and returns findings, each with a remedy. The playbook
    C(doctor.yml) of this collection calls it on every host, and then once for the controller, which prints the report.
  - Neither an unreachable host nor any other finding on a host fails the task. The examination of the controller fails
    if any finding is a problem.
  - Changes nothing. On each host, it creates the benchmark's temporary folder and removes it again.
options:
  examine:
    description:
      - With V(host), the host of the task.
      - With V(controller), the controller, the inventory and the study file. Prints these findings, and those that the
        tasks on O(hosts) have registered as C(autotune_doctor).
    type: str
    choices: [host, controller]
    default: host
  study:
    description: Path of a study file, which is examined as well, with the parameters that it tunes.
    type: path
  run_on:
    description: Inventory host that runs the benchmark, instead of what the study says.
    type: str
  benchmark:
    description:
      - Also run the benchmark of O(study) with the values that the host has, as often as for a baseline. Runs the
        commands C(setup), C(between) and C(teardown) too, and starts and stops the service, if the study has them.
    type: bool
    default: false
  environment:
    description: Environment variables of the benchmark on this host. They override those in the study file.
    type: dict
    default: {}
  target:
    description: The pattern that chose O(hosts), for the message if it matches none.
    type: str
    default: all
  hosts:
    description: The hosts to report on, with O(examine=controller).
    type: list
    elements: str
    default: []
  output:
    description: Folder for results, which must be writable and have room.
    type: path
    default: learned
  store:
    description:
      - SQLAlchemy URL of the store, or path of a SQLite file, by default as in M(autotune.kernel.evaluate). The folder
        of an SQLite file is examined like O(output).
    type: str
  dashboard_host:
    description: Address on which the dashboard would listen.
    type: str
    default: 127.0.0.1
  dashboard_port:
    description: Port on which the dashboard would listen.
    type: int
    default: 8470
attributes:
  action:
    description: An action plugin of the same name runs on the controller and calls modules on the hosts.
    support: full
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: The module changes nothing.
    support: none
  platform:
    description: The hosts and the controller run Linux.
    support: full
    platforms: linux
seealso:
  - module: autotune.kernel.readiness_info
  - module: autotune.kernel.evaluate
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Examine the host
  autotune.kernel.doctor:
    study: wan.yml
    benchmark: true
  register: autotune_doctor

- name: Examine the controller, and report
  autotune.kernel.doctor:
    examine: controller
    study: wan.yml
    hosts: "{{ ansible_play_hosts_all }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: What was found; with O(examine=controller), on the controller and on all hosts.
  returned: success
  type: list
  elements: dict
  contains:
    where:
      description: The host, V(controller) or V(study).
      type: str
    severity:
      description: V(problem) if a study would fail or its result not last, V(warning) if it would only run less well.
      type: str
    what:
      description: What is wrong, in one line.
      type: str
    remedy:
      description: A command or an edit that puts it right.
      type: str
  sample:
    - where: web1
      severity: problem
      what: tuned is running and would change parameters during the study
      remedy: stop it with `systemctl stop tuned`, and start it again after the study
examined:
  description: Whether the host could be examined. If not, a Python package is missing on the controller.
  returned: with O(examine=host)
  type: bool
summary:
  description: The closing line of the report.
  returned: with O(examine=controller), if nothing is a problem
  type: str
  sample: nothing found on 2 hosts and the controller
"""
