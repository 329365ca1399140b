# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which values a file in /etc/sysctl.d sets at boot: sysctls only, and not every name can stand in such a file."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.autotune.kernel.plugins.module_utils import _boot_files


def is_set(parameter: str) -> bool:
    """Whether a line of such a file can set the parameter."""
    try:
        return _boot_files.can_express(parameter)
    except ValueError:
        return False  # the store may hold any name


def not_set(parameters: Iterable[str]) -> list[str]:
    return [parameter for parameter in parameters if not is_set(parameter)]
