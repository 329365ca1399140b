# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""autotune-dashboard: the dashboard of a store.

autotune-dashboard --store sqlite:///learned/autotune.sqlite
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import secrets
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

if not __package__:  # run as a folder: `python dashboard` in a checkout, or by its path in an installed collection
    here = Path(__file__).absolute().parent
    inside = here.parent / "playbooks" / "collections"
    sys.path[0] = str(inside if inside.is_dir() else here.parents[3])
    __package__ = "ansible_collections.autotune.kernel.dashboard"

from ansible_collections.autotune.kernel.dashboard.app import create_app
from ansible_collections.autotune.kernel.dashboard.pid_file import AlreadyRunning, PidFile
from ansible_collections.autotune.kernel.dashboard.server import CannotListen, keep_memory_small, listen, server_of
from ansible_collections.autotune.kernel.dashboard.settings import PORT, Settings
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError, open_store, shown
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.url import VARIABLE, chosen

_STORE = (
    "SQLAlchemy URL of the store, or path of a SQLite file; use AUTOTUNE_STORE for a URL with a password, since other "
    "users can read command lines"
)

# What fits into the header of a request and the address that is printed.
_TOKEN = re.compile(r"[!-~]{20,}")


def main() -> None:
    """Serve until a signal. User errors are reported on one line."""
    arguments = _arguments()
    keep_memory_small()
    try:
        settings = _settings(arguments)
        if arguments.new_store:
            open_store(arguments.store).dispose()
        listening = listen(settings)
        settings = replace(settings, port=listening.getsockname()[1])
        server = server_of(create_app(arguments.store, settings), settings, listening)
        pid_file = PidFile(arguments.pid_file) if arguments.pid_file else None
        if pid_file:
            pid_file.write(_address(settings), shown(arguments.store))
    except (StoreError, CannotListen, AlreadyRunning, OSError) as error:
        _give_up(str(error))
    token = f"?token={settings.token}" if settings.token else ""
    print(f"autotune: dashboard at {_address(settings)}{token}", flush=True)
    print("autotune: press Ctrl-C to stop it; studies go on without it", flush=True)

    def end(number: int, frame: object) -> NoReturn:
        # At once: the threads of streams wait for news and need no cleanup.
        if pid_file:
            pid_file.remove()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    server.run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("autotune-dashboard", description="Dashboard of the studies in a store.")
    add = parser.add_argument
    add("--store", metavar="URL", default=os.environ.get(VARIABLE), help=_STORE)
    add("--new-store", action="store_true", help="create the store if it does not exist")
    add("--host", default="127.0.0.1", help="address to listen on; any but loopback requires a token (%(default)s)")
    add("--port", type=_port, default=PORT, help="port to listen on, 0 for any free port (%(default)s)")
    add("--token-file", type=Path, metavar="FILE", help="file with the token; created if it does not exist")
    add("--host-name", action="append", default=[], metavar="NAME", help="host name that browsers may use; repeatable")
    add(
        "--behind-proxy", metavar="PREFIX", help="path under which a reverse proxy serves it: /autotune; / for the root"
    )
    add(
        "--proxy-address",
        type=ipaddress.ip_address,
        metavar="ADDRESS",
        help="address of the proxy, whose forwarded headers are trusted; by default loopback",
    )
    add(
        "--max-streams",
        type=int,
        default=128,
        metavar="N",
        help="clients with a live stream; others poll (%(default)s)",
    )
    add("--pid-file", type=Path, metavar="FILE", help="file for process ID, address and store")
    parsed = parser.parse_args()
    if not parsed.store:
        parser.error("name a store: --store sqlite:///learned/autotune.sqlite")
    parsed.store = chosen(parsed.store, "")
    if not 1 <= parsed.max_streams <= 1000:
        parser.error("--max-streams must be from 1 to 1000")
    return parsed


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return int(text)


def _settings(arguments: argparse.Namespace) -> Settings:
    prefix = arguments.behind_proxy
    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        host_names=tuple(name.lower() for name in arguments.host_name),
        prefix=None if prefix is None else "/" + prefix.strip("/") if prefix.strip("/") else "",
        proxy_address=arguments.proxy_address and str(arguments.proxy_address),
        max_streams=arguments.max_streams,
    )
    if not settings.needs_token and not arguments.token_file:
        return settings
    return replace(settings, token=_token(arguments.token_file))


def _token(file: Path | None) -> str:
    """The token in the file, or a new one."""
    if file and file.exists():
        token = file.read_bytes().strip().decode("ascii", errors="replace")
        if not _TOKEN.fullmatch(token):
            _give_up(
                f"{file} has no token, one word of at least 20 ASCII characters; "
                "name another file, or remove it to have one created"
            )
        return token
    token = secrets.token_urlsafe(32)
    if file:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(token + "\n")
    return token


def _address(settings: Settings) -> str:
    """The address for browsers. A proxy with a known host name is assumed to use TLS (see docs/how-to/proxy.md)."""
    if settings.prefix is not None and settings.host_names:
        return f"https://{settings.host_names[0]}{settings.prefix}/"
    name = socket.gethostname() if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 (compared)
    host = f"[{name}]" if ":" in name else name
    return f"http://{host}:{settings.port}{settings.prefix or ''}/"


def _give_up(text: str) -> NoReturn:
    print(f"autotune-dashboard: {text}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
