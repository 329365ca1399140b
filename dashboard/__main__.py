# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""autotune-dashboard: the page for a store.

autotune-dashboard --store sqlite:///learned/autotune.sqlite
"""

from __future__ import annotations

import argparse
import ipaddress
import os
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
from ansible_collections.autotune.kernel.dashboard.pid_file import PidFile, Taken
from ansible_collections.autotune.kernel.dashboard.server import CannotListen, keep_memory_small, listen, server_of
from ansible_collections.autotune.kernel.dashboard.settings import PORT, Settings
from ansible_collections.autotune.kernel.plugins.plugin_utils._store.store import StoreError, open_store, shown

_STORE = (
    "SQLAlchemy URL of the store, or the path of a SQLite file; with a password in it, rather set AUTOTUNE_STORE, "
    "for others can read a command line"
)


def main() -> None:
    """Serve until a signal ends it. Whatever the user can cause is said in one line."""
    arguments = _arguments()
    keep_memory_small()
    try:
        settings = _settings(arguments)
        if arguments.new_store:
            open_store(arguments.store).dispose()
        listening = listen(settings)
        settings = replace(settings, port=listening.getsockname()[1])
        server = server_of(create_app(arguments.store, settings), settings, listening)
        kept = PidFile(arguments.pid_file) if arguments.pid_file else None
        if kept:
            kept.write(_address(settings), shown(arguments.store))
    except (StoreError, CannotListen, Taken, OSError) as error:
        _give_up(str(error))
    print(f"autotune: the page is at {_address(settings)}{_entrance(settings)}", flush=True)
    print("autotune: Ctrl-C ends it; a run goes on without it", flush=True)

    def end(number: int, frame: object) -> NoReturn:
        # At once: streams have threads of their own, which wait for news, and nothing of theirs needs an end.
        if kept:
            kept.remove()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    server.run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("autotune-dashboard", description="The page for the studies in a store.")
    add = parser.add_argument
    add("--store", metavar="URL", default=os.environ.get("AUTOTUNE_STORE"), help=_STORE)
    add("--new-store", action="store_true", help="make the store if it is not there yet")
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any but this machine's own needs a token (%(default)s)",
    )
    add("--port", type=_port, default=PORT, help="port to listen on (%(default)s); 0 for any that is free")
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="holds the token; made, and readable by you alone, if it is not there",
    )
    add(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers reach it; may be repeated",
    )
    add(
        "--behind-proxy",
        metavar="PREFIX",
        help="a reverse proxy puts it below this path, such as /autotune; / for the top",
    )
    add(
        "--proxy-address",
        type=_ip_address,
        metavar="ADDRESS",
        help="where the proxy's requests come from, for only there it says who asks; this machine if not given",
    )
    add(
        "--max-streams", type=int, default=128, metavar="N", help="pages fed live at once, the others ask (%(default)s)"
    )
    add("--pid-file", type=Path, metavar="FILE", help="where to leave the process id and the address")
    parsed = parser.parse_args()
    if not parsed.store:
        parser.error("say which store to show: --store sqlite:///learned/autotune.sqlite")
    if "://" not in parsed.store:
        parsed.store = f"sqlite:///{Path(parsed.store).absolute()}"
    if not 1 <= parsed.max_streams <= 1000:
        parser.error("--max-streams is a number from 1 to 1000")
    return parsed


def _ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a number from 0 to 65535")
    return int(text)


def _settings(arguments: argparse.Namespace) -> Settings:
    prefix = arguments.behind_proxy
    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        host_names=tuple(name.lower() for name in arguments.host_name),
        prefix=None if prefix is None else "/" + prefix.strip("/") if prefix.strip("/") else "",
        proxy_address=arguments.proxy_address,
        max_streams=arguments.max_streams,
    )
    if not settings.needs_token and not arguments.token_file:
        return settings
    return replace(settings, token=_token(arguments.token_file))


def _token(file: Path | None) -> str:
    """The file's, or a new one."""
    if file and file.exists():
        token = file.read_text().strip()
        if len(token) < 20:
            _give_up(f"{file} holds no token of at least 20 characters; remove it, and one is made")
        return token
    token = secrets.token_urlsafe(32)
    if file:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(token + "\n")
    return token


def _address(settings: Settings) -> str:
    """What a browser is to open. A proxy whose name is known is taken to speak TLS (see docs/how-to/proxy.md)."""
    if settings.prefix is not None and settings.host_names:
        return f"https://{settings.host_names[0]}{settings.prefix}/"
    name = socket.gethostname() if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 (compared)
    host = f"[{name}]" if ":" in name else name
    return f"http://{host}:{settings.port}{settings.prefix or ''}/"


def _entrance(settings: Settings) -> str:
    return f"?token={settings.token}" if settings.token else ""


def _give_up(text: str) -> NoReturn:
    print(f"autotune-dashboard: {text}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
