# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Serving the page: a WSGI server made for production, with a thread for every stream and some to spare."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
from typing import Any

import waitress
from flask import Flask

from .settings import Settings

# Beyond the streams: what answers everything else, however many pages are fed.
SPARE_THREADS = 8
# Waitress keeps what it has sent until a buffer is full: a stream must not hold on to all that it ever said.
_BUFFER = 64 * 1024
_M_ARENA_MAX = -8  # malloc.h of glibc


class CannotListen(Exception):
    """The port is taken, or the address is not this machine's; the message says which setting to change."""


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
        # A reader who does not read stops his own thread.
        outbuf_high_watermark=_BUFFER,
        asyncore_use_poll=True,  # select() knows no file beyond the 1,024th
        channel_timeout=60,
        max_request_body_size=64 * 1024,
        max_request_header_size=32 * 1024,
        clear_untrusted_proxy_headers=True,
        ident="",
        **proxy,
    )


def _proxy_as_peer(settings: Settings, listening: socket.socket) -> str:
    """The proxy's address as a connection to this socket shows it; without one that is named, this machine's own."""
    is_six = listening.family == socket.AF_INET6
    address = ipaddress.ip_address(settings.proxy_address or ("::1" if settings.host == "::1" else "127.0.0.1"))
    return f"::ffff:{address}" if is_six and address.version == 4 else str(address)


def keep_memory_small() -> None:
    """To be called before there are threads: glibc's malloc has up to eight heaps a core for them, and what one thread
    has freed lies in its heap until another one happens to use the same. With a hundred threads that adds up.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # which another C library may not have
    if mallopt:
        mallopt(_M_ARENA_MAX, 2)


def listen(settings: Settings) -> socket.socket:
    """A socket for the server. Raises CannotListen."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(f"{settings.host!r} is no address of this machine: {error.strerror}; see --host") from None
    family, kind, protocol, dummy, address = found[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise CannotListen(
            f"nothing can listen on {settings.host} port {settings.port}: {error.strerror}; "
            "choose another one with --port (dashboard_port in a play)"
        ) from None
    listening.set_inheritable(False)
    return listening
