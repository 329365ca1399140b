#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: dashboard
short_description: Start or stop the page on which studies are watched and judged
version_added: "0.2.0"
description:
  - Starts a process on the controller that serves a page for all studies in a store, while they run and after. It stays
    when the play has ended, until it is stopped with O(state=stopped) or C(kill).
  - One page runs for each O(output). A second start finds it and says where it is.
  - C(dashboard.pid) in O(output) holds its process id, its address and its store, C(dashboard.log) what it has to say.
options:
  state:
    description:
      - Whether the page is to be there.
    type: str
    choices: [started, stopped]
    default: started
  store:
    description:
      - SQLAlchemy URL of the store. Without it, C(autotune.sqlite) in O(output).
    type: str
  output:
    description:
      - Folder for the page's process id and log.
    type: path
    default: learned
  host:
    description:
      - Address to listen on. On 127.0.0.1 the page is open to everybody on this machine. On any other one it needs a
        token, which is made once, kept in C(dashboard.token) in O(output), and part of the address that is shown.
    type: str
    default: 127.0.0.1
  port:
    description:
      - Port to listen on.
    type: int
    default: 8470
  host_names:
    description:
      - Names by which browsers reach the page, beside addresses, C(localhost) and the machine's own name. Requests
        under any other name are refused.
    type: list
    elements: str
    default: []
  behind_proxy:
    description:
      - The path below which a reverse proxy has put the page, such as V(/autotune); V(/) for the top. The page then
        needs a token on any address.
    type: str
  proxy_address:
    description:
      - The IP address from which the reverse proxy's requests come; without it, this machine. Only from there the page
        believes for whom a request was made, and whether over TLS.
    type: str
  new_store:
    description:
      - Make the store if it is not there yet, as for a run that is about to begin.
    type: bool
    default: false
  required:
    description:
      - With V(false), a page that cannot be started is a warning and the play goes on.
    type: bool
    default: true
attributes:
  action:
    description: An action plugin of the same name does the work, on the controller.
    support: full
  async:
    description: Can be used with the C(async) keyword.
    support: none
  check_mode:
    description: Is skipped in check mode.
    support: none
  diff_mode:
    description: Shows no differences.
    support: none
  platform:
    description: Where it runs.
    support: full
    platforms: linux
notes:
  - Runs on the controller and does not connect to the host. Use C(run_once) in a play with several hosts.
seealso:
  - module: autotune.kernel.evaluate
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Show the studies that are in learned/
  autotune.kernel.dashboard:
  run_once: true

- name: Show them to the whole network, who have been told the token
  autotune.kernel.dashboard:
    host: 0.0.0.0
    host_names: [tuning.example.org]
  run_once: true

- name: Enough
  autotune.kernel.dashboard:
    state: stopped
  run_once: true
"""

RETURN = r"""
url:
  description: Where the page is, without the token.
  returned: with O(state=started), if it could be started
  type: str
  sample: http://127.0.0.1:8470/
pid:
  description: The process that serves it, or served it until now.
  returned: success
  type: int
  sample: 4711
"""
