# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Python interface: `from ansible_collections.autotune.kernel import optimize_os_parameters`.

Ansible imports this package for every plugin, and sends it to hosts, so it imports nothing before it is asked.
"""

from __future__ import annotations

_PUBLIC = ("TuningFailed", "optimize_os_parameters")


def __getattr__(name):  # type: ignore[no-untyped-def]  # it also runs on a host's Python 3.9
    if name in _PUBLIC:
        from .client import optimize

        return getattr(optimize, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
