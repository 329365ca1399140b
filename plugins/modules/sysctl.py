#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sysctl
short_description: Set many kernel parameters at once, or none of them
version_added: "0.1.0"
description:
  - Sets any number of kernel parameters (sysctls) in one call. Every value is validated before anything is written,
    and read back after. If the kernel refuses one, all are put back and the task fails, naming the parameter, the
    value and what the kernel said.
  - Parameters that have the wanted value already are not written.
  - With O(state=leased) the values are on loan. The host itself puts its own values back, and verifies them, when the
    lease is neither renewed nor ended in time, whatever became of the controller, the connection or the playbook.
  - With O(persist) the values also go into a drop-in of C(/etc/sysctl.d), together with a record from which
    O(state=restored) brings back the former values and the former file, its owner and permissions included.
options:
  values:
    description:
      - The parameters and their values. Required unless O(state=restored).
      - A vector such as V(net.ipv4.tcp_rmem) is a list, or a string with spaces between its elements. Ports such as
        those of V(net.ipv4.ip_local_reserved_ports) are a list, or a string such as V(5030,8080-8089).
      - Numbers are read as the kernel reads them, in octal after a leading 0 and in hexadecimal after 0x, and returned
        as it shows them.
      - Where a part of the name has dots itself, as an interface may, separate the parts by slashes,
        V(net/ipv4/neigh/eth0.1/gc_stale_time).
      - Settings that are not sysctls have names of their own. V(transparent_hugepage.enabled) and its like,
        V(block.sda.scheduler) for what is in the queue of a block device, V(sched.base_slice_ns) for what the scheduler
        has in debugfs. Where the kernel lists choices, as in C(always [madvise] never), the value is the one in force.
      - Booleans are refused, as YAML makes V(true) of V(yes) and V(on). Write V(1) or V(0).
    type: dict
  state:
    description:
      - V(present) sets the values to stay, until the next boot or, with O(persist), beyond it. If O(holder) has a
        lease on this host, this ends it; what it had lent and O(values) does not name is put back.
      - V(leased) sets the values for O(lease) seconds. Every further call of the same O(holder) renews the lease; the
        values it does not name stay as they are.
      - V(restored) ends the lease and puts the host's own values back; with O(persist) it rolls back what was set
        under that name.
    type: str
    choices: [present, leased, restored]
    default: present
  lease:
    description: Seconds after which the host puts its own values back by itself. Only for O(state=leased).
    type: int
    default: 120
  holder:
    description:
      - Who holds the lease, a name to be shown to others who want the host. Required for O(state=leased).
      - While a lease is in force only its holder can set values. O(state=restored) without O(persist) and O(holder)
        ends anybody's.
    type: str
  nonce:
    description:
      - The RV(lease.nonce) of the lease to renew (O(state=leased)), to confirm (O(state=present)) or to end
        (O(state=restored)). If that lease has ended meanwhile, the call is refused, so that a call that comes late
        does not set again what the host has put back.
      - Without it, O(holder) alone decides, and a lease that has run out is followed by a new one.
    type: str
  process_group:
    description:
      - A file on the host that names the process group which runs under the lease, such as a benchmark. What is left
        of that group is killed when the lease ends, and so is what has left it but has C(AUTOTUNE_BENCHMARK) in its
        environment, set to the file's folder. Only for O(state=leased).
      - The file has two numbers, the group and the time at which its first process started, which is the 22nd field
        of its C(/proc/PID/stat). It need not exist yet. The group must be a session of its own, as C(setsid) makes it,
        and unless the file is root's only processes of the file's owner are killed.
    type: path
  persist:
    description:
      - Name of the drop-in below C(/etc/sysctl.d), without C(.conf). It is refused where a file of that name in
        another folder of sysctl.d would be hidden, and where the drop-in is there but was not written by this module.
      - If somebody has edited the drop-in, the edited file is kept beside it, as C(NAME.conf.edited-1), before the
        drop-in is replaced or rolled back, and a warning says so. Nothing applies such a copy.
      - A warning tells of every value that will not last, since another file sets the parameter, or the other one of
        an exclusive pair, after the drop-in. It says when that one prevails, as C(systemd-sysctl), C(sysctl --system)
        and C(ufw) do not apply the same files in the same order.
      - Settings that are not sysctls cannot be set from there. They are set, and can be rolled back, but do not outlast
        a reboot, and a warning says so.
    type: str
  allow_unsafe:
    description:
      - Parameters to set although they are on the denylist, which has those that run programs, weaken security,
        decide what happens when something goes wrong, or cannot be put back.
      - What cannot be undone is not lent (O(state=leased)) even then, such as V(net.ipv6.conf.all.disable_ipv6), which
        removes addresses and routes.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Validates everything and reports what would change; writes nothing.
    support: full
  diff_mode:
    description: Shows the values and the drop-in before and after.
    support: full
  platform:
    description: Where the module runs.
    support: full
    platforms: linux
notes:
  - Needs Python 3.9 on the host, and root. Some parameters below V(net) can be set in a network namespace of one's
    own.
  - A user who is not root can use O(state=leased) and O(state=restored) without become where role
    P(autotune.kernel.access#role) has given him that right. The host then takes only what is in the catalogue, within
    safe ranges, and O(allow_unsafe) counts for nothing; who may do more says the role.
  - The journal of a lease and the verdict of its end are kept in C(/run/autotune), roll-back records in
    C(/var/lib/autotune). Nobody but root may be able to write there, nor to a folder above, or nothing is set.
  - Where systemd is the init, the host's side of a lease is a transient unit, C(autotune-lease-*.service); elsewhere
    a process of that name. It needs nothing but Python on the host.
  - If somebody else sets a parameter that is on loan, that is told as a warning by the next call, with the value found.
    The end of the lease puts the value back that the host had before the lease, since that is what a lease promises,
    and says by which command the other one can be set again.
  - Of parameters that exclude each other, such as V(vm.dirty_bytes) and V(vm.dirty_ratio), both are put back as they
    were. So is whatever else the kernel changes with a parameter, such as the value of every interface when
    V(net.ipv4.ip_forward) or a V(default) is set, or V(unres_qlen_bytes) with V(unres_qlen).
seealso:
  - module: autotune.kernel.sysctl_info
  - module: ansible.posix.sysctl
author:
  - autotune.kernel contributors (@autotune)
"""

EXAMPLES = r"""
- name: Try larger TCP buffers for a minute
  autotune.kernel.sysctl:
    state: leased
    holder: anna@laptop
    lease: 60
    values:
      net.ipv4.tcp_rmem: [4096, 131072, 33554432]
      net.ipv4.tcp_wmem: "4096 65536 33554432"

- name: Give the host its own values back now
  autotune.kernel.sysctl:
    state: restored

- name: See what would change, by check mode and diff
  autotune.kernel.sysctl:
    values:
      vm.swappiness: 10
    persist: 90-database
  check_mode: true
  diff: true
# --- before: kernel
# +++ after: kernel
# @@ -1 +1 @@
# -vm.swappiness = 60
# +vm.swappiness = 10

- name: Set values to stay, across boots too
  autotune.kernel.sysctl:
    values:
      vm.swappiness: 10
      vm.dirty_background_ratio: 3
      vm.dirty_ratio: 10
    persist: 90-database

- name: Roll that back, values and file
  autotune.kernel.sysctl:
    state: restored
    persist: 90-database

# A change that undoes itself when it cuts the host off, as `commit confirmed` does on a router:
- name: Lend the values to the host
  autotune.kernel.sysctl:
    state: leased
    holder: "change 4711"
    lease: 120
    values:
      net.ipv4.tcp_keepalive_time: 600
      net.core.somaxconn: 8192
  register: lent

- name: Reach the host over a fresh connection
  ansible.builtin.wait_for_connection:
    timeout: 60

- name: Keep the values, if the host still has them on loan
  autotune.kernel.sysctl:
    values: "{{ lent.after }}"
    holder: "change 4711"
    nonce: "{{ lent.lease.nonce }}"
    persist: 90-change-4711
"""

RETURN = r"""
before:
  description: The values found, by parameter. Vectors have single spaces between their elements.
  returned: success
  type: dict
  sample: {"vm.swappiness": "60"}
after:
  description: The values read back, by parameter; in check mode those asked for.
  returned: success
  type: dict
  sample: {"vm.swappiness": "10"}
diff:
  description: The values before and after, and with O(persist) the drop-in, as C(--diff) shows them.
  returned: success
  type: list
  elements: dict
changed_keys:
  description: The parameters whose value is another one than before.
  returned: success
  type: list
  elements: str
  sample: ["vm.swappiness"]
parameters:
  description:
    - What became of each parameter. RV(parameters.status) is V(applied), V(unchanged), or V(clamped) where the kernel
      took the value and made another one of it; on failure V(missing), V(denied), V(read_only) or V(rejected).
  returned: always
  type: dict
  contains:
    status:
      description: What became of the parameter.
      type: str
    asked:
      description: The value asked for.
      type: str
    before:
      description: The value found.
      type: str
    after:
      description: The value read back.
      type: str
    said:
      description: What there is to say about it, such as the kernel's words.
      type: str
  sample: {"vm.swappiness": {"status": "applied", "asked": "10", "before": "60", "after": "10", "said": ""}}
lease:
  description: The lease now in force.
  returned: when O(state=leased), except in check mode
  type: dict
  contains:
    holder:
      description: Who holds it.
      type: str
    nonce:
      description: What tells this lease from an earlier one; a renewed lease keeps it.
      type: str
    expires_in:
      description: Seconds until the host puts its own values back.
      type: float
  sample: {"holder": "tuner", "nonce": "5f0c8a91", "expires_in": 120.0}
originals:
  description: The host's own values, which the end of the lease brings back.
  returned: when O(state=leased), except in check mode
  type: dict
  sample: {"vm.swappiness": "60"}
verdict:
  description:
    - How a lease ended, with the nonce that says which. For O(state=restored) the lease that this call ended; else
      the last one that ran out, if nobody was told of it yet. Null if there is none.
  returned: success
  type: dict
  contains:
    holder:
      description: Who held the lease.
      type: str
    nonce:
      description: Which lease it was.
      type: str
    restored:
      description: The parameters put back.
      type: list
      elements: str
    verified:
      description: Whether all were read back and have the host's own value.
      type: bool
    mismatches:
      description: Those which could not be put back, as in RV(mismatches).
      type: list
      elements: dict
    foreign:
      description: Parameters which somebody else had set during the lease, with the value they had.
      type: dict
    missing:
      description: Parameters which the host no longer has.
      type: list
      elements: str
    processes_ended:
      description: How many processes of O(process_group) were left and have been killed.
      type: int
    at:
      description: When that was, in UTC.
      type: str
lapsed:
  description: The lease of O(nonce) has ended, RV(verdict) says how, if the host knows; nothing was written.
  returned: failure, because of O(nonce)
  type: bool
restored:
  description: Whether everything has the value again that it had before this call.
  returned: failure
  type: bool
mismatches:
  description: The parameters which could not be put back, with what they are, what they should be, and the command to
    run by hand.
  returned: failure
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autotune.kernel.plugins.module_utils import _gate_client, _sysctl


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "values": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "leased", "restored"], "default": "present"},
            "lease": {"type": "int", "default": 120},
            "holder": {"type": "str"},
            "nonce": {"type": "str"},
            "process_group": {"type": "path"},
            "persist": {"type": "str"},
            "allow_unsafe": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[("state", "present", ["values"]), ("state", "leased", ["values", "holder"])],
        supports_check_mode=True,
    )
    call = _gate_client.call if _gate_client.is_needed() else _sysctl.call
    result = call(module.params, module.check_mode)
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
