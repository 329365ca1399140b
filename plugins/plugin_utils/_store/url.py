# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Hides the password in a store's URL. SQLAlchemy can do that too, but importing it takes each worker a second."""

from __future__ import annotations

import re


def shown(url: str) -> str:
    """The URL without its password, wherever that is, even if the URL is invalid."""
    # Up to the last @, since an unquoted password may contain one.
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url, count=1)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", hidden)
