# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""`python3 client` in a checkout, or by its path in an installed collection: the command `autotune`."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    here = Path(__file__).absolute().parent
    inside = here.parent / "playbooks" / "collections"
    sys.path[0] = str(inside if inside.is_dir() else here.parents[3])

from ansible_collections.autotune.kernel.client.cli import main

if __name__ == "__main__":
    sys.exit(main())
