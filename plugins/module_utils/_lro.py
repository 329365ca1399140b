# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Large receive offload (LRO), which the kernel disables permanently on an interface that starts to forward."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel

_SIOCETHTOOL, _ETHTOOL_GFLAGS, _LRO = 0x8946, 0x25, 1 << 15


def lost_by(parameter: str, value: str) -> str | None:
    """Why enabling this forwarding could not be undone, or None if no interface would lose LRO."""
    parts = _kernel.components(parameter)
    is_forwarding = parts[:3] == ["net", "ipv4", "conf"] and parts[-1] == "forwarding" and parts[3] != "default"
    if value == "0" or not (is_forwarding or parts == ["net", "ipv4", "ip_forward"]):
        return None
    interfaces = [name for dummy, name in socket.if_nameindex()] if parts[3:4] in ([], ["all"]) else [parts[3]]
    name = next((interface for interface in interfaces if _flags(interface) & _LRO), None)
    return (
        f"the kernel disables LRO of {name} permanently (if acceptable, first run: ethtool -K {name} lro off)"
        if name
        else None
    )


def _flags(interface: str) -> int:
    """The interface's ethtool flags, 0 if it has none."""
    answer = array.array("I", [_ETHTOOL_GFLAGS, 0])
    request = struct.pack("16sP16x", os.fsencode(interface), answer.buffer_info()[0])
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        fcntl.ioctl(connection, _SIOCETHTOOL, request)
    return answer[1]
