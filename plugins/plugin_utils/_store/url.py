# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A store's URL as people may see it. SQLAlchemy could do that too, but takes a second to import, in every worker."""

from __future__ import annotations

import re


def shown(url: str) -> str:
    """The URL without its password, wherever in it that is, and whatever else is wrong with the URL."""
    # To the last @: a password that was not quoted may have one too.
    without = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url, count=1)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", without)
