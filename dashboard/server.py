# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The WSGI server, with one thread per stream and some to spare."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
from typing import Any

import waitress
from flask import Flask

from .settings import Settings

# For all other requests, while every stream is in use.
SPARE_THREADS = 8
# Waitress frees what it has sent only when a buffer is full; a stream must not keep everything.
_BUFFER = 64 * 1024
_M_ARENA_MAX = -8  # malloc.h of glibc


class CannotListen(Exception):
    """Cannot listen at that address; the message names the setting to change."""


def server_of(app: Flask, settings: Settings, listening: socket.socket) -> Any:
    """A waitress server; its run() serves until close()."""
    proxy: dict[str, Any] = {}
    if settings.prefix is not None:
        headers = {"x-forwarded-for", "x-forwarded-proto"}
        peer = _proxy_as_peer(settings, listening)
        proxy = {"url_prefix": settings.prefix, "trusted_proxy": peer, "trusted_proxy_headers": headers}
    return waitress.create_server(
        app,
        sockets=[listening],
        threads=settings.max_streams + SPARE_THREADS,
        connection_limit=4 * settings.max_streams + 100,
        # A client that does not read blocks its own thread.
        outbuf_high_watermark=_BUFFER,
        asyncore_use_poll=True,  # select() is limited to 1,024 files
        channel_timeout=60,
        max_request_body_size=64 * 1024,
        max_request_header_size=32 * 1024,
        clear_untrusted_proxy_headers=True,
        ident="",
        **proxy,
    )


def _proxy_as_peer(settings: Settings, listening: socket.socket) -> str:
    """The proxy's address as this socket sees it; by default loopback."""
    is_six = listening.family == socket.AF_INET6
    address = ipaddress.ip_address(settings.proxy_address or ("::1" if settings.host == "::1" else "127.0.0.1"))
    return f"::ffff:{address}" if is_six and address.version == 4 else str(address)


def keep_memory_small() -> None:
    """Limit glibc's malloc to two arenas. Call it before threads start: with up to eight arenas per core, the freed
    memory of a hundred threads adds up."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt:
        mallopt(_M_ARENA_MAX, 2)


def listen(settings: Settings) -> socket.socket:
    """A socket for the server. Raises CannotListen."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(
            f"{settings.host!r} is not an address of this machine: {error.strerror}; see --host"
        ) from None
    family, kind, protocol, dummy, address = found[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise CannotListen(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            "choose another port with --port (dashboard_port in a play)"
        ) from None
    listening.set_inheritable(False)
    return listening
