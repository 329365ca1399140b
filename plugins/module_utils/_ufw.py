# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether ufw is in use, and the file of parameters that it applies when it starts."""

from __future__ import annotations

import re

from ansible_collections.autotune.kernel.plugins.module_utils._foreign_file import text_of

STATE = "/etc/ufw/ufw.conf"
DEFAULTS = "/etc/default/ufw"


def is_enabled() -> bool:
    """Whether ufw starts at boot."""
    return _shell_value(STATE, "ENABLED").lower() == "yes"


def sysctl_file() -> str | None:
    """The file that ufw applies when it starts, None if ufw is not enabled."""
    if not is_enabled():
        return None
    return _shell_value(DEFAULTS, "IPT_SYSCTL") or None


def _shell_value(file: str, variable: str) -> str:
    """The value of a variable in a file of shell assignments, empty if there is none."""
    found = re.findall(rf"^\s*{variable}=[\"']?([^\"'\s#]*)", text_of(file, []), re.MULTILINE)
    return found[-1] if found else ""
