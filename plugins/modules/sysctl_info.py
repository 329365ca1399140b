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
      - The parameters to look at. Without it, all which the host has.
    type: list
    elements: str
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
effective_uid:
  description: User ID under which the module ran, 0 for root.
  returned: always
  type: int
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
    value:
      description: The value with single spaces between its elements, null if it cannot be read or is a secret.
      type: str
    denied:
      description: Whether M(autotune.kernel.sysctl) sets it only if O(autotune.kernel.sysctl#module:allow_unsafe)
        names it.
      type: bool
    namespaced:
      description: Whether each network namespace has its own; null if that cannot be told, as for V(net.*) in the
        initial one.
      type: bool
  sample:
    vm.swappiness: {exists: true, readable: true, writable: true, value: "60", denied: false, namespaced: false}
managed_by:
  description: Daemons running on the host that set parameters by themselves.
  returned: always
  type: list
  elements: str
  sample: [tuned]
lease:
  description: The lease on this host, null if there is none. Once C(expires_in) is negative, the next call of
    M(autotune.kernel.sysctl) puts the host's own values back first.
  returned: always
  type: dict
  sample: {holder: tuner, nonce: 5f0c…, expires_in: 117.2}
verdict:
  description: How the last lease ended which its holder did not end, null if there was none.
  returned: always
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autotune.kernel.plugins.module_utils import _host, _journal, _procfs
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure


def main() -> None:
    module = AnsibleModule(
        argument_spec={"parameters": {"type": "list", "elements": "str"}},
        supports_check_mode=True,
    )
    names = module.params["parameters"]
    try:
        parameters = {name: _host.look_at(name) for name in (_host.parameters() if names is None else names)}
        lease = _journal.read()
    except (Failure, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        kernel=os.uname().release,
        boot_id=_procfs.boot_id(),
        network_namespace=_procfs.network_namespace(),
        cpus=os.sysconf("SC_NPROCESSORS_ONLN"),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        effective_uid=os.geteuid(),
        parameters=parameters,
        managed_by=_host.managed_by(),
        lease=None
        if lease is None
        else {"holder": lease.holder, "nonce": lease.nonce, "expires_in": round(lease.expires_in, 3)},
        verdict=_journal.read_verdict(),
    )


if __name__ == "__main__":
    main()
