# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why the gate must not be installed on the host, one reason per line: check.py ACCOUNT PATH…

Only root may be able to write to every PATH that exists, and to all folders above it. Those with a basename in
REQUIRED must exist.
"""

from __future__ import annotations

import pwd
import sys
from pathlib import Path

REQUIRED = ("sudo", "visudo", "setpriv")


def main(account: str, *names: str) -> None:
    try:
        pwd.getpwnam(account)
    except KeyError:
        print(f"there is no account {account}")
    paths: dict[Path, None] = {}
    for path in map(Path, names):
        if path.exists():
            real = path.resolve()
            paths |= dict.fromkeys([real, *real.parents])
        elif path.name in REQUIRED:
            print(f"{path} is missing")
    for path in paths:
        status = path.stat()
        if status.st_uid != 0 or status.st_mode & 0o002 or (status.st_mode & 0o020 and status.st_gid != 0):
            print(f"{path} is writable for accounts other than root, which could become root: chown root, chmod go-w")


main(*sys.argv[1:])
