# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How the page is served: what `autotune-dashboard` takes as options."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

PORT = 8470


@dataclass(frozen=True)
class Settings:
    """host and port: where to listen. token: what opens the page, or None for a page that is open.

    host_names: names under which browsers may reach it, beside addresses, localhost and the machine's own name.
    prefix: the path below which a reverse proxy has put it ("/autotune"; "" for the top), or None without a proxy.
    proxy_address: where that proxy's requests come from. What others say of whom they speak for is not believed.
    max_streams: pages that are fed live at once; those beyond it ask again and again. poll, ping: seconds between two
    looks into the store, and after which an idle stream says that it is there.
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
        """Who can reach it from elsewhere has to show that he may: a proxy brings everybody in from loopback."""
        return not is_loopback(self.host) or self.prefix is not None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
