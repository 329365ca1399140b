# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
name: optional_parameters
short_description: List the optional parameters of studies
version_added: "0.1.0"
author:
  - autotune.kernel contributors (@autotune)
description:
  - Returns the kernel parameters that study files mark with V(optional=true). The playbook C(tune.yml) uses it to find
    out which of them the hosts have before a run starts.
  - Returns nothing for an invalid study file; M(autotune.kernel.evaluate) reports what is wrong with it.
options:
  _terms:
    description: Paths of study files.
    type: list
    elements: path
    required: true
seealso:
  - module: autotune.kernel.evaluate
  - module: autotune.kernel.sysctl_info
"""

EXAMPLES = r"""
- name: Find out which optional parameters a host has
  autotune.kernel.sysctl_info:
    catalogue: true
    parameters: "{{ query('autotune.kernel.optional_parameters', 'study.yml') }}"
  register: autotune_host
"""

RETURN = r"""
_raw:
  description: The names of the parameters.
  type: list
  elements: str
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

try:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.errors import StudyError
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.expansion import optional_parameters
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parser import parse
except ImportError:  # the action evaluate reports the missing package
    INSTALLED = False
else:
    INSTALLED = True


class LookupModule(LookupBase):
    """The optional parameters of the given study files."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        return list(dict.fromkeys(name for term in terms for name in _names(Path(term))))


def _names(path: Path) -> Iterator[str]:
    try:
        yield from optional_parameters(parse(path)) if INSTALLED else ()
    except StudyError:
        return
