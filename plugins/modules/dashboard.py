#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: dashboard
short_description: Start or stop the dashboard
version_added: "0.2.0"
description:
  - The dashboard is a web server on the controller that shows all studies in a store, running and finished ones. It
    keeps running after the play, until it is stopped with O(state=stopped) or C(kill).
  - One dashboard runs for each O(output). Starting it again only reports its address.
  - C(dashboard.pid) in O(output) contains its process ID, address and store. Its log is C(dashboard.log).
options:
  state:
    description:
      - Whether the dashboard should be running.
    type: str
    choices: [started, stopped]
    default: started
  store:
    description:
      - SQLAlchemy URL of the store, or path of a SQLite file. The default is E(AUTOTUNE_STORE), and without it
        C(autotune.sqlite) in O(output).
    type: str
  output:
    description:
      - Folder for the PID file and the log.
    type: path
    default: learned
  host:
    description:
      - Address to listen on. On 127.0.0.1, every user of this machine has access. On any other address a token is
        required. It is created once, stored in C(dashboard.token) in O(output), and included in the URL that is shown.
    type: str
    default: 127.0.0.1
  port:
    description:
      - Port to listen on.
    type: int
    default: 8470
  host_names:
    description:
      - Names by which browsers reach the dashboard, in addition to IP addresses, C(localhost) and the machine's own
        name. Requests for any other name are rejected.
    type: list
    elements: str
    default: []
  behind_proxy:
    description:
      - The path at which a reverse proxy serves the dashboard, such as V(/autotune), or V(/) for the root. A token is
        then required on every address.
    type: str
  proxy_address:
    description:
      - The IP address of the reverse proxy; by default, this machine. C(X-Forwarded-For) and C(X-Forwarded-Proto) are
        trusted only from this address.
    type: str
  new_store:
    description:
      - Create the store if it does not exist, for a run that is about to start.
    type: bool
    default: false
  required:
    description:
      - With V(false), the play continues with a warning if the dashboard cannot be started.
    type: bool
    default: true
attributes:
  action:
    description: An action plugin of the same name runs on the controller.
    support: full
  async:
    description: Can be used with the C(async) keyword.
    support: none
  check_mode:
    description: Skipped in check mode.
    support: none
  diff_mode:
    description: Shows no diff.
    support: none
  platform:
    description: The controller runs Linux.
    support: full
    platforms: linux
notes:
  - Runs on the controller and does not connect to the host. Use C(run_once) in a play with more than one host.
seealso:
  - module: autotune.kernel.evaluate
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Show the studies in learned/
  autotune.kernel.dashboard:
  run_once: true

- name: Show them to everybody on the network who has the token
  autotune.kernel.dashboard:
    host: 0.0.0.0
    host_names: [tuning.example.org]
  run_once: true

- name: Stop the dashboard
  autotune.kernel.dashboard:
    state: stopped
  run_once: true
"""

RETURN = r"""
url:
  description: The dashboard's URL, without the token.
  returned: with O(state=started), if the dashboard is running
  type: str
  sample: http://127.0.0.1:8470/
pid:
  description: The ID of the process that was started, found or stopped.
  returned: success
  type: int
  sample: 4711
"""
