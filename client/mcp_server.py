# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""autotune mcp: an MCP server, over stdin and stdout, for agents that tune hosts.

autotune mcp --root . --allow-apply
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .mcp_site import PathRefused, Site


def main(words: Sequence[str] | None = None) -> None:
    """Serve until stdin ends. User errors are reported on one line. words: the options; by default, the process's."""
    arguments = _arguments(words)
    try:
        from .mcp_tools import server_of
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        _give_up(f"needs the Python package mcp, version 2: {sys.executable} -m pip install 'mcp>=2,<3'")
    try:
        site = Site.of(arguments.root, arguments.output, arguments.store, allow_apply=arguments.allow_apply)
        os.chdir(site.root)  # where relative paths, and Ansible's own files, are looked for
        server = server_of(site)
    except (PathRefused, OSError) as error:
        _give_up(str(error))
    try:
        server.run("stdio")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("autotune mcp", description="MCP server, over stdin and stdout.")
    add = parser.add_argument
    add("--root", default=".", metavar="FOLDER", help="studies, inventories and results must be in it (%(default)s)")
    add("--output", default="learned", metavar="FOLDER", help="where results are written, in the root (%(default)s)")
    add(
        "--store",
        metavar="URL",
        help="SQLAlchemy URL of the store, or path of a SQLite file; autotune.sqlite in the output folder by default; "
        "use AUTOTUNE_STORE for a URL with a password",
    )
    add(
        "--allow-apply",
        action="store_true",
        help="let clients that cannot ask their user run studies, roll out and roll back",
    )
    return parser.parse_args(words)


def _give_up(text: str) -> NoReturn:
    print(f"autotune mcp: {text}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
