# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What else the kernel changes when a parameter is written, directly or in consequence.

Restoring a parameter means restoring these as well. The direct effects are known to the parameter's kind.
"""

from __future__ import annotations

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel


def of(parameter: str) -> list[str]:
    """The parameters of this host that change with it, directly or through one another."""
    return [name for path in _changed_with(parameter) if (name := _name_of(path))]


def unnameable(parameter: str) -> list[str]:
    """Interfaces that change with it but whose names are malformed here, so that they could not be restored."""
    return [ascii(path.split("/")[3]) for path in _changed_with(parameter) if not _name_of(path)]


def _changed_with(parameter: str) -> list[str]:
    own = "/".join(_kernel.components(parameter))
    found: dict[str, None] = {}
    pending = [own]
    while pending:
        parts = pending.pop().split("/")
        fresh = [path for path in _kernel.side_effects(parts) if path != own and path not in found]
        found.update(dict.fromkeys(fresh))
        pending += fresh
    return list(found)


def _name_of(path: str) -> str | None:
    try:
        return _kernel.canonical_name(path)
    except ValueError:
        return None
