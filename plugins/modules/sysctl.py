#!/usr/bin/python

# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sysctl
short_description: Set several kernel parameters at once, or none of them
version_added: "0.1.0"
description:
  - Sets any number of kernel parameters (sysctls) in one call. Every value is validated before anything is written, and
    read back afterwards. If the kernel refuses one, all are restored and the task fails, naming the parameter, the
    value and the kernel's error.
  - Parameters that already have the requested value are not written.
  - With O(state=leased) the values are temporary. Unless the lease is renewed or ended in time, the host restores its
    original values by itself and verifies them, whatever has happened to the controller, the connection or the
    playbook.
  - With O(persist) the values are also written to a drop-in in C(/etc/sysctl.d), along with a record from which
    O(state=restored) restores the former values and the former file, including its owner and permissions.
options:
  values:
    description:
      - The parameters and their values. Required unless O(state=restored).
      - A vector such as V(net.ipv4.tcp_rmem) is a list, or a string with spaces between its elements. Ports such as
        those of V(net.ipv4.ip_local_reserved_ports) are a list, or a string such as V(5030,8080-8089).
      - Numbers are read as the kernel reads them, octal with a leading 0 and hexadecimal with 0x, and returned as the
        kernel shows them.
      - Where a component of the name contains dots, as the name of an interface may, separate the components by
        slashes, as in V(net/ipv4/neigh/eth0.1/gc_stale_time).
      - Other kernel settings have names of their own. These are V(transparent_hugepage.<name>),
        V(block.<device>.<name>) for the queue of a block device, such as V(block.sda.scheduler), and V(sched.<name>)
        for the scheduler's settings in debugfs. Where the kernel lists choices, as in C(always [madvise] never), the
        value is the selected one.
      - Booleans are refused, because YAML reads V(yes) and V(on) as V(true). Write V(1) or V(0).
    type: dict
  state:
    description:
      - V(present) sets the values until the next reboot or, with O(persist), permanently. If O(holder) has a lease on
        this host, this ends it; leased parameters that O(values) does not name are restored.
      - V(leased) sets the values for O(lease) seconds. Every further call by the same O(holder) renews the lease;
        leased parameters that it does not name keep their values.
      - V(restored) ends the lease and restores the original values; with O(persist) it rolls back what was set under
        that name.
    type: str
    choices: [present, leased, restored]
    default: present
  lease:
    description: Seconds after which the host restores its original values by itself. Only for O(state=leased).
    type: int
    default: 120
  holder:
    description:
      - Who holds the lease, shown to others who want to use the host. Required for O(state=leased).
      - While a lease is in force, only its holder can set values. O(state=restored) without O(persist) and O(holder)
        ends anybody's lease.
    type: str
  nonce:
    description:
      - The RV(lease.nonce) of the lease to renew (O(state=leased)), to confirm (O(state=present)) or to end
        (O(state=restored)). If that lease has ended, the call is refused, so that a delayed call does not set values
        again after the host has restored its own.
      - Without it only O(holder) is compared, and an expired lease is followed by a new one.
      - With O(state=restored) and O(persist), only the call that confirmed this lease is rolled back, if it was the
        last one under that name; what earlier calls have set stays.
    type: str
  process_group:
    description:
      - A file on the host that names the process group running under the lease, such as a benchmark. When the lease
        ends, what is left of that group is killed, and so are processes that left it but have C(AUTOTUNE_BENCHMARK) in
        their environment, set to the file's folder. Only for O(state=leased).
      - The file contains two numbers, the ID of the group and the start time of its first process, which is field 22 of
        C(/proc/PID/stat). It need not exist yet. The group must be a session of its own, as C(setsid) makes it, and
        unless the file belongs to root only processes of the file's owner are killed.
    type: path
  persist:
    description:
      - Name of the drop-in in C(/etc/sysctl.d), without C(.conf). Refused if it would hide a file of the same name in
        another folder of sysctl.d, or if the drop-in exists but was not written by this module.
      - What an earlier call under this name has set stays in the drop-in, unless this call changes it.
        O(state=restored) rolls back all of it.
      - If the drop-in has been edited, a copy is kept beside it as C(NAME.conf.edited-1) before it is replaced or
        rolled back, and a warning says so. Nothing applies such a copy.
      - A warning names every value that will not last because another file sets the parameter, or its exclusive
        partner, after the drop-in. It says when that file prevails, because C(systemd-sysctl), C(sysctl --system) and
        C(ufw) do not apply the same files in the same order.
      - Settings that are not sysctls cannot be persisted this way. They are set and can be rolled back, but do not
        survive a reboot, and a warning says so.
    type: str
  allow_unsafe:
    description:
      - Parameters to set although they are on the denylist, which contains those that run programs, weaken security,
        control the reaction to failures, or cannot be restored, or although the value is unsafe with the memory of this
        host, such as one that was learned on a larger one. A value that is no farther out than the host's own is not
        refused.
      - What cannot be undone, such as V(net.ipv6.conf.all.disable_ipv6), which removes addresses and routes, cannot be
        leased (O(state=leased)) even then.
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
  - Requires Python 3.9 or later on the host, and root. Some parameters in V(net) can be set in your own network
    namespace.
  - Without root, O(state=leased) and O(state=restored) work where role P(autotune.kernel.access#role) has granted it to
    the account. The host then accepts only safe values of parameters in the catalogue and ignores O(allow_unsafe); the
    role can allow more.
  - The journal of a lease and the verdict of its end are kept in C(/run/autotune), roll-back records in
    C(/var/lib/autotune). If an account other than root can write there, or to a folder above, nothing is set.
  - Where systemd is the init, the watchdog of a lease is a transient unit, C(autotune-lease-*.service); elsewhere it is
    a process of that name. It needs only Python on the host.
  - If another process sets a leased parameter, the next call warns about it, with the value found. When the lease ends,
    the original value is restored, because that is what a lease promises, and a warning contains the command that sets
    the other value again.
  - Of parameters that exclude each other, such as V(vm.dirty_bytes) and V(vm.dirty_ratio), both are restored. So is
    everything else that the kernel changes with a parameter, such as the value of every interface when
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

- name: Restore the original values now
  autotune.kernel.sysctl:
    state: restored

- name: Show what would change, with check mode and diff
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

- name: Set values permanently
  autotune.kernel.sysctl:
    values:
      vm.swappiness: 10
      vm.dirty_background_ratio: 3
      vm.dirty_ratio: 10
    persist: 90-database

- name: Roll back these values and the file
  autotune.kernel.sysctl:
    state: restored
    persist: 90-database

# A change that undoes itself if it cuts off the host, like `commit confirmed` on a router:
- name: Lease the values
  autotune.kernel.sysctl:
    state: leased
    holder: "change 4711"
    lease: 120
    values:
      net.ipv4.tcp_keepalive_time: 600
      net.core.somaxconn: 8192
  register: leased

- name: Reach the host over a fresh connection
  ansible.builtin.wait_for_connection:
    timeout: 60

- name: Keep the values if the lease is still in force
  autotune.kernel.sysctl:
    values: "{{ leased.applied }}"
    holder: "change 4711"
    nonce: "{{ leased.lease.nonce }}"
    persist: 90-change-4711
"""

RETURN = r"""
before:
  description: The values that the call found, by parameter. Vectors have single spaces between their elements.
  returned: success
  type: dict
  sample: {"vm.swappiness": "60"}
applied:
  description: The values read back, by parameter; in check mode the requested ones.
  returned: success
  type: dict
  sample: {"vm.swappiness": "10"}
diff:
  description: The values before and after, and with O(persist) the drop-in, for C(--diff).
  returned: success
  type: list
  elements: dict
changed_keys:
  description: The parameters whose value has changed.
  returned: success
  type: list
  elements: str
  sample: ["vm.swappiness"]
parameters:
  description:
    - What became of each parameter. RV(parameters.status) is V(applied), V(unchanged), or V(clamped) if the kernel
      accepted the value but set a different one; on failure V(missing), V(denied), V(read_only) or V(rejected).
  returned: always
  type: dict
  contains:
    status:
      description: What became of the parameter.
      type: str
    requested:
      description: The requested value.
      type: str
    before:
      description: The value that the call found.
      type: str
    applied:
      description: The value read back.
      type: str
    message:
      description: An explanation, such as the kernel's error.
      type: str
  sample: {"vm.swappiness": {"status": "applied", "requested": "10", "before": "60", "applied": "10", "message": ""}}
lease:
  description: The lease now in force.
  returned: when O(state=leased), except in check mode
  type: dict
  contains:
    holder:
      description: Who holds it.
      type: str
    nonce:
      description: Identifies this lease; a renewed lease keeps it.
      type: str
    expires_in:
      description: Seconds until the host restores its original values.
      type: float
  sample: {"holder": "tuner", "nonce": "5f0c8a91", "expires_in": 120.0}
originals:
  description: The host's original values, which are restored at the end of the lease.
  returned: when O(state=leased), except in check mode
  type: dict
  sample: {"vm.swappiness": "60"}
verdict:
  description:
    - How a lease ended. For O(state=restored) the lease that this call ended; otherwise the last one that expired, if
      that has not been reported yet. Null if there is none.
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
      description: The parameters that were restored.
      type: list
      elements: str
    verified:
      description: Whether all original values were read back.
      type: bool
    mismatches:
      description: The parameters that could not be restored, as in RV(mismatches).
      type: list
      elements: dict
    interference:
      description: Parameters that another process had set during the lease, with the values found.
      type: dict
    missing:
      description: Parameters that no longer exist on the host.
      type: list
      elements: str
    processes_ended:
      description: How many processes of O(process_group) were left and have been killed.
      type: int
    at:
      description: When the lease ended, in UTC.
      type: str
expired:
  description: The lease of O(nonce) has ended and nothing was written; RV(verdict) says how, if the host knows.
  returned: failure, because of O(nonce)
  type: bool
restored:
  description: Whether everything has its value from before this call.
  returned: failure
  type: bool
mismatches:
  description: The parameters that could not be restored.
  returned: failure
  type: list
  elements: dict
  contains:
    parameter:
      description: The parameter.
      type: str
    found:
      description: Its value.
      type: str
    original:
      description: The value that it should have.
      type: str
    reason:
      description: Why it could not be restored.
      type: str
    command:
      description: The shell command for an administrator to run.
      type: str
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
