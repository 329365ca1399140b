#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sysctl_info
short_description: Tell which kernel parameters a host has and who else sets them
version_added: "0.1.0"
description:
  - Reads the host's kernel parameters (sysctls) and what must be known before they are tuned, such as the kernel, its
    boot, the network namespace, daemons that set parameters themselves, and a lease in force. Writes nothing.
options:
  parameters:
    description:
      - The parameters to look at. Without it, all which the host has. Those of an interface whose name cannot be
        written here, as one with an asterisk or a byte that is not UTF-8, are left out with a warning.
      - Beside sysctls these may be V(transparent_hugepage.<name>), V(block.<device>.<name>) for the queue of a block
        device, and V(sched.<name>) for the scheduler's settings in debugfs.
    type: list
    elements: str
  catalogue:
    description:
      - Look at those parameters of the host which the collection's catalogue knows, that is which matter for
        performance. Together with O(parameters), at both.
    type: bool
    default: false
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: Where the module runs.
    support: full
    platforms: linux
seealso:
  - module: autotune.kernel.sysctl
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Look at what is to be tuned
  autotune.kernel.sysctl_info:
    parameters: [net.ipv4.tcp_rmem, net.core.rmem_max, vm.swappiness]
  register: host

- name: Refuse a host that another daemon tunes
  ansible.builtin.assert:
    that: host.managed_by | length == 0
    fail_msg: "{{ inventory_hostname }} is managed by {{ host.managed_by | join(' and ') }}"

- name: Make sure that nothing is on loan, and that the last loan was paid back
  ansible.builtin.assert:
    that:
      - host.lease is none
      - host.verdict is none or host.verdict.verified

- name: Look at all that matters for performance here, with kinds and safe values
  autotune.kernel.sysctl_info:
    catalogue: true
"""

RETURN = r"""
kernel:
  description: Release of the kernel.
  returned: always
  type: str
  sample: 6.1.0-18-amd64
boot_id:
  description: What tells this boot of this kernel from all others. Two hosts with one boot ID share a kernel.
  returned: always
  type: str
network_namespace:
  description: Inode of the network namespace. Two hosts with one boot ID and one inode share V(net.*) too.
  returned: always
  type: int
  sample: 4026531833
cpus:
  description: Number of CPUs in use.
  returned: always
  type: int
memory_bytes:
  description: Memory of the machine.
  returned: always
  type: int
link_mbit:
  description: Speed of the fastest network link, 1000 where none tells.
  returned: always
  type: int
page_bytes:
  description: Size of a page of memory.
  returned: always
  type: int
effective_uid:
  description: User ID under which the module ran, 0 for root.
  returned: always
  type: int
gate:
  description:
    - The program of role P(autotune.kernel.access#role) by which M(autotune.kernel.sysctl) works here for a user who is
      not root. Where it is told, all else that is returned comes from that program. Null for root, where there is no
      such program, and where it does not serve this user.
  returned: always
  type: str
  sample: /usr/local/libexec/autotune-sysctl
gate_said:
  description: One line on what that program does not do for this user, null if there is nothing to say.
  returned: always
  type: str
parameters:
  description: What there is to say about each parameter.
  returned: always
  type: dict
  contains:
    exists:
      description: Whether the host has it.
      type: bool
    readable:
      description: Whether its value can be read.
      type: bool
    writable:
      description: Whether this user can write it here.
      type: bool
    why_not_writable:
      description: What keeps this user from writing it, or why it does not exist; null if nothing does.
      type: str
    value:
      description: The value with single spaces between its elements, null if it cannot be read or is a secret.
      type: str
    denied:
      description: Whether M(autotune.kernel.sysctl) sets it only if O(autotune.kernel.sysctl#module:allow_unsafe)
        names it. With RV(gate), whether this user may not set it.
      type: bool
    namespaced:
      description: Whether each network namespace has its own; null if that cannot be told, as for V(net.*) in the
        initial one.
      type: bool
    kind:
      description: Kind of the value, one of V(int), V(boolean), V(choice), V(vector), V(bytes) and V(ratio); null for
        what the catalogue does not know.
      type: str
    risk:
      description: What a wrong value can cost, one of V(none), V(performance), V(stability) and V(security); null for
        what the catalogue does not know.
      type: str
    safe_range:
      description: The values that are safe on this machine, as the least and the most of each number, or as a list of
        choices; null for what the catalogue does not know.
      type: list
      elements: raw
  sample:
    vm.swappiness:
      exists: true
      readable: true
      writable: true
      why_not_writable: null
      value: "60"
      denied: false
      namespaced: false
      kind: int
      risk: performance
      safe_range: [[0, 200]]
managed_by:
  description: Daemons running on the host that set parameters by themselves.
  returned: always
  type: list
  elements: str
  sample: [tuned]
container:
  description: What the host is inside of, as its manager calls it (V(docker), V(lxc), V(container) where nobody says).
    Parameters that are not namespaced belong to the whole machine then. Null on a machine of its own.
  returned: always
  type: str
lease:
  description: The lease on this host, null if there is none. Once C(expires_in) is negative, the next call of
    M(autotune.kernel.sysctl) puts the host's own values back first.
  returned: always
  type: dict
  sample: {holder: tuner, nonce: 5f0c8a91, expires_in: 117.2}
verdict:
  description: How the last lease ended which its holder did not end, as in C(verdict) of M(autotune.kernel.sysctl).
    Null if there was none.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autotune.kernel.plugins.module_utils import _facts, _gate_client
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "parameters": {"type": "list", "elements": "str"},
            "catalogue": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    names = module.params["parameters"]
    if module.params["catalogue"]:
        names = [*(names or ()), *_facts.catalogued()]
    try:
        found = _gate_client.facts(names) if _gate_client.is_needed() else _facts.facts(names)
    except (Failure, ValueError) as error:
        module.fail_json(msg=str(error))
    for warning in found.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**found)


if __name__ == "__main__":
    main()
