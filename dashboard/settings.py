# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The dashboard's settings, from the options of `autotune-dashboard`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

PORT = 8470


@dataclass(frozen=True)
class Settings:
    """host, port: where to listen. token: required from clients, or None.

    host_names: allowed in requests besides addresses, localhost and the machine's name. prefix: the path under which a
    reverse proxy serves the dashboard ("/autotune", "" for the root), or None without a proxy. proxy_address: where
    the proxy's requests come from; forwarded headers of others are ignored. max_streams: clients with a live stream;
    others poll. poll: seconds between two refreshes from the store. ping: seconds between two pings of an idle stream.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    host_names: tuple[str, ...] = ()
    prefix: str | None = None
    proxy_address: str | None = None
    max_streams: int = 128
    poll: float = 0.5
    ping: float = 10.0

    @property
    def needs_token(self) -> bool:
        """Other machines can reach it, directly or through a proxy."""
        return not is_loopback(self.host) or self.prefix is not None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
