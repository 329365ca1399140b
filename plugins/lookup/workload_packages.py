# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
name: workload_packages
short_description: List the packages that the workloads of a study need
version_added: "0.1.0"
author:
  - autotune.kernel contributors (@autotune)
description:
  - Returns the packages of a study file and of the studies of its guard benchmarks, for the tuned hosts and for each
    load generator. With C(-e install=true), playbook C(tune.yml) installs them with role
    P(autotune.kernel.workload#role).
  - Returns nothing for an invalid study file; M(autotune.kernel.evaluate) reports what is wrong with it.
options:
  _terms:
    description: Path of the study file.
    type: list
    elements: path
    required: true
  run_on:
    description: The load generator, instead of the ones that the studies name.
    type: str
    default: ""
seealso:
  - module: autotune.kernel.evaluate
"""

EXAMPLES = r"""
- name: Show what a study needs
  ansible.builtin.debug:
    msg: "{{ query('autotune.kernel.workload_packages', 'study.yml') }}"
"""

RETURN = r"""
_raw:
  description: An entry for the tuned hosts, if they need any package, and one for each load generator.
  type: list
  elements: dict
  contains:
    run_on:
      description: Name of the load generator; empty for the tuned hosts.
      type: str
    packages:
      description: Names of packages.
      type: list
      elements: str
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

try:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.errors import StudyError
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.parser import parse
except ImportError:  # the action evaluate reports the missing package
    INSTALLED = False
else:
    INSTALLED = True


class LookupModule(LookupBase):
    """The packages that the workloads of the given study files need."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        found: dict[str, list[str]] = {}
        for term in terms if INSTALLED else ():
            for place, packages in _needed(Path(term), str(kwargs.get("run_on", ""))):
                known = found.setdefault(place, [])
                known += [name for name in packages if name not in known]
        return [{"run_on": place, "packages": packages} for place, packages in found.items()]


def _needed(path: Path, run_on: str, *, follow: bool = True) -> Iterator[tuple[str, list[str]]]:
    try:
        study = parse(path)
    except StudyError:
        return
    packages = study.get("packages")
    generator = run_on or study.get("run_on") or ""
    if isinstance(packages, dict):
        for key, place in (("host", ""), ("run_on", str(generator))):
            names = packages.get(key)
            if names and isinstance(names, list):
                yield place, [str(name) for name in names]
    guards = study.get("guard_benchmarks")
    for guard in guards if follow and isinstance(guards, list) else ():
        if isinstance(guard, dict) and isinstance(guard.get("study"), str):
            yield from _needed(path.parent / guard["study"], run_on, follow=False)
