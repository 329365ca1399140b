#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: readiness_info
short_description: Show what could keep a host from being tuned
version_added: "0.1.0"
description:
  - Reads all that M(autotune.kernel.sysctl_info) reads of the parameters in the catalogue and of those that are named,
    and in addition the host's clock, what a lease needs, and which files would override a learned role at boot.
  - M(autotune.kernel.doctor) turns this into findings with remedies. Writes nothing.
options:
  parameters:
    description: Parameters to read besides those in the catalogue, and to look for in other files.
    type: list
    elements: str
    default: []
  persist:
    description: Name of the drop-in in C(/etc/sysctl.d) that would set O(parameters), without its suffix C(.conf).
    type: str
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: The module changes nothing.
    support: none
  platform:
    description: Where the module runs.
    support: full
    platforms: linux
seealso:
  - module: autotune.kernel.doctor
  - module: autotune.kernel.sysctl_info
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: See whether a learned role would last
  autotune.kernel.readiness_info:
    parameters: [net.ipv4.tcp_rmem, net.core.rmem_max]
    persist: autotune-wan
  register: host

- name: Refuse a host where it would not
  ansible.builtin.assert:
    that: host.overridden | length == 0
    fail_msg: "{{ host.overridden | map(attribute='message') | join('; ') }}"
"""

RETURN = r"""
parameters:
  description: What is known of each parameter. This and everything that is not listed here is as in
    M(autotune.kernel.sysctl_info).
  returned: always
  type: dict
time:
  description: The host's clock when the module ran, in seconds since 1970.
  returned: always
  type: float
lease_message:
  description: Why this host could neither keep the journal of a lease nor run its watchdog; null if it can, and for
    accounts other than root.
  returned: always
  type: str
overridden:
  description: Assignments of other files that would determine a parameter in place of the drop-in O(persist).
  returned: always
  type: list
  elements: dict
  contains:
    parameter:
      description: The parameter.
      type: str
    file:
      description: The file that prevails.
      type: str
    path:
      description: What the file assigns, below C(/proc/sys).
      type: str
    message:
      description: One line with the value and when the file is applied.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autotune.kernel.plugins.module_utils import _facts, _gate_client, _readiness
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "parameters": {"type": "list", "elements": "str", "default": []},
            "persist": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given, persist = module.params["parameters"], module.params["persist"]
    try:
        names = [*given, *_facts.catalogued()]
        found = _gate_client.facts(names) if _gate_client.is_needed() else _facts.facts(names)
        found.update(_readiness.readiness(given, persist))
    except (Failure, ValueError) as error:
        module.fail_json(msg=str(error))
    for warning in found.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**found)


if __name__ == "__main__":
    main()
