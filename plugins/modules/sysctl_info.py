#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sysctl_info
short_description: Show which kernel parameters a host has and who else sets them
version_added: "0.1.0"
description:
  - Reads the host's kernel parameters (sysctls) and what must be known before tuning them, such as the kernel, the boot
    ID, the network namespace, daemons that set parameters themselves, and the lease in force. Writes nothing.
options:
  parameters:
    description:
      - The parameters to read, by default all that the host has. Those of an interface whose name is not supported,
        such as one with an asterisk or a byte that is not UTF-8, are left out with a warning.
      - Besides sysctls these may be V(transparent_hugepage.<name>), V(block.<device>.<name>) for the queue of a block
        device, and V(sched.<name>) for the scheduler's settings in debugfs.
    type: list
    elements: str
  catalogue:
    description:
      - Read the parameters of the host that are in the collection's catalogue, which are those that matter for
        performance. Can be combined with O(parameters).
    type: bool
    default: false
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
  - module: autotune.kernel.sysctl
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Read the parameters to be tuned
  autotune.kernel.sysctl_info:
    parameters: [net.ipv4.tcp_rmem, net.core.rmem_max, vm.swappiness]
  register: host

- name: Refuse a host that another daemon tunes
  ansible.builtin.assert:
    that: host.managed_by | length == 0
    fail_msg: "{{ inventory_hostname }} is managed by {{ host.managed_by | join(' and ') }}"

- name: Make sure that no values are leased, and that the last lease was restored
  ansible.builtin.assert:
    that:
      - host.lease is none
      - host.verdict is none or host.verdict.verified

- name: Read everything that matters for performance, with descriptions and safe values
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
  description: Identifies this boot of this kernel. Two hosts with the same boot ID share a kernel.
  returned: always
  type: str
network_namespace:
  description: Inode of the network namespace. Two hosts with the same boot ID and inode also share V(net.*).
  returned: always
  type: int
  sample: 4026531833
cpus:
  description: Number of CPUs online.
  returned: always
  type: int
memory_bytes:
  description: Memory of the machine.
  returned: always
  type: int
link_mbit:
  description: Speed of the fastest network link in Mbit/s, 1000 if none is known.
  returned: always
  type: int
page_bytes:
  description: Size of a memory page.
  returned: always
  type: int
effective_uid:
  description: User ID under which the module ran, 0 for root.
  returned: always
  type: int
gate:
  description:
    - The gate of role P(autotune.kernel.access#role) by which M(autotune.kernel.sysctl) works without root. If set,
      everything else that is returned comes from it. Null for root, and if there is no gate or this account may
      not use it.
  returned: always
  type: str
  sample: /usr/local/libexec/autotune-sysctl
gate_message:
  description: What the gate refuses to do for this account, in one line; null if nothing.
  returned: always
  type: str
parameters:
  description: What is known of each parameter. C(kind) and what follows are null outside the catalogue.
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
      description: Whether this account can write it.
      type: bool
    why_not_writable:
      description: What prevents this account from writing it, or why it does not exist; null if it is writable.
      type: str
    value:
      description: The value, with single spaces between its elements; null if it is unreadable or a secret.
      type: str
    original:
      description: The value from before the lease that is in force; the same as C(value) if none has changed it.
      type: str
    denied:
      description: Whether M(autotune.kernel.sysctl) sets it only if O(autotune.kernel.sysctl#module:allow_unsafe)
        names it. With RV(gate), whether this account may not set it.
      type: bool
    namespaced:
      description: Whether each network namespace has its own; null if that is unknown, as for V(net.*) in the initial
        namespace.
      type: bool
    kind:
      description: Kind of value, one of V(int), V(boolean), V(choice), V(vector), V(bytes) and V(ratio).
      type: str
    unit:
      description: Unit of the value, empty for choices.
      type: str
    default:
      description: The default of current kernels, empty if it depends on the machine or the distribution.
      type: str
    impairs:
      description: What a wrong value can impair, one of V(none), V(performance), V(stability) and V(security).
      type: str
    summary:
      description: What the parameter does.
      type: str
    documentation:
      description: Page of the kernel's documentation.
      type: str
    special_values:
      description: Values with a meaning of their own, inside the safe range or not.
      type: dict
    risks:
      description: What the kernel's documentation warns of. A preset never tries such values; a study that does gets a
        notice.
      type: list
      elements: dict
      contains:
        applies_to:
          description: The values to which the warning applies.
          type: str
        warning:
          description: What may happen.
          type: str
        quote:
          description: The words of the documentation.
          type: str
        source:
          description: The page that has them.
          type: str
    safe_range:
      description: The values that are safe on this machine, as the minimum and maximum of each number, or as a list of
        choices.
      type: list
      elements: raw
  sample:
    vm.vfs_cache_pressure:
      exists: true
      readable: true
      writable: true
      why_not_writable: null
      value: "100"
      original: "100"
      denied: false
      namespaced: false
      kind: int
      unit: parts of vfs_cache_pressure_denom
      default: "100"
      impairs: performance
      summary: tendency to reclaim cached directory entries and inodes
      documentation: https://docs.kernel.org/admin-guide/sysctl/vm.html
      special_values: {"0": "never, until memory has run out"}
      risks:
        - applies_to: the value 0
          warning: directory entries and inodes may fill the memory until processes are killed
          quote: When vfs_cache_pressure=0, the kernel will never reclaim dentries and inodes due to memory pressure and
            this can easily lead to out-of-memory conditions.
          source: https://docs.kernel.org/admin-guide/sysctl/vm.html
      safe_range: [[1, 1000]]
managed_by:
  description: Running daemons that set parameters themselves.
  returned: always
  type: list
  elements: str
  sample: [tuned]
container:
  description: The kind of container that the host is, such as V(docker) or V(lxc); V(container) if that is unknown.
    Parameters that are not namespaced then belong to the whole machine. Null if the host is not a container.
  returned: always
  type: str
lease:
  description: The lease on this host, null if there is none. If C(expires_in) is negative, the next call of
    M(autotune.kernel.sysctl) restores the original values first.
  returned: always
  type: dict
  sample: {holder: tuner, nonce: 5f0c8a91, expires_in: 117.2}
verdict:
  description: How the last lease ended that its holder did not end, as in C(verdict) of M(autotune.kernel.sysctl).
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
