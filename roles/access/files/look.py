# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What on the host stands against installing the gate, a line each: look.py ACCOUNT PLACE…

Every PLACE that exists must be root's alone to write to, and so must all folders above it. Those with a basename in
NEEDED must exist.
"""

from __future__ import annotations

import pwd
import sys
from pathlib import Path

NEEDED = ("sudo", "visudo", "setpriv")


def main(account: str, *names: str) -> None:
    try:
        pwd.getpwnam(account)
    except KeyError:
        print(f"there is no account {account}")
    places: dict[Path, None] = {}
    for path in map(Path, names):
        if path.exists():
            real = path.resolve()
            places |= dict.fromkeys([real, *real.parents])
        elif path.name in NEEDED:
            print(f"{path} is missing")
    for place in places:
        status = place.stat()
        if status.st_uid != 0 or status.st_mode & 0o002 or (status.st_mode & 0o020 and status.st_gid != 0):
            print(f"{place} can be written to by others than root, who could then be root: chown root, chmod go-w")


main(*sys.argv[1:])
