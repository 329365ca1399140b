# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which store is used, and its URL without the password. Free of SQLAlchemy, whose import takes a worker a second."""

from __future__ import annotations

import os
import re
from pathlib import Path

VARIABLE = "AUTOTUNE_STORE"  # a URL with a password, which a command line would show to other users


def chosen(given: str | None, output: str | Path, folder: str | Path = "") -> str:
    """The URL that was given, else the environment's, else that of a SQLite file in the folder of the results.

    Either may be the path of a SQLite file instead, relative to `folder` or else to the working directory.
    """
    store = given or os.environ.get(VARIABLE) or str(Path(output, "autotune.sqlite").absolute())
    return (
        store if re.match(r"[a-z0-9+]+:", store) else f"sqlite:///{Path(folder, Path(store).expanduser()).absolute()}"
    )


def shown(url: str) -> str:
    """The URL without its password, wherever that is, even if the URL is invalid."""
    # Up to the last @, since an unquoted password may contain one.
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url, count=1)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", hidden)
