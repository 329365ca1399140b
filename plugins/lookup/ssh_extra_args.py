# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
name: ssh_extra_args
short_description: Return the ssh arguments of the command line, the environment or ansible.cfg
version_added: "0.1.0"
author:
  - autotune.kernel contributors (@autotune)
description:
  - Returns the option C(ssh_extra_args) of the connection plugin P(ansible.builtin.ssh#connection) as
    C(--ssh-extra-args), E(ANSIBLE_SSH_EXTRA_ARGS) or C(ansible.cfg) set it, and an empty string if nothing does.
  - A play that sets C(ansible_ssh_extra_args) overrides all of these. With this lookup it adds to them instead.
  - P(ansible.builtin.config#lookup) cannot do this, since it returns the play's own variable.
options: {}
seealso:
  - plugin: ansible.builtin.config
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Add to the arguments that were given
  hosts: all
  vars:
    ansible_ssh_extra_args: "{{ lookup('autotune.kernel.ssh_extra_args') }} -o ServerAliveInterval=5"
"""

RETURN = r"""
_raw:
  description: The arguments, in one string.
  type: list
  elements: str
"""

from typing import Any

from ansible import constants
from ansible.plugins.loader import connection_loader
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """The ssh arguments that are no variable."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        connection_loader.get("ssh", class_only=True)  # loads the definitions of its options
        return [constants.config.get_config_value("ssh_extra_args", plugin_type="connection", plugin_name="ssh") or ""]
