# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the safe values of this machine depend on."""

from __future__ import annotations

import contextlib
import glob
import os

from ansible_collections.autotune.kernel.plugins.module_utils import _kind
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine


def read() -> Machine:
    """This machine. A link of unknown speed, as in a virtual machine, counts as 1 Gbit/s."""
    speeds = [1000]
    for path in glob.glob(os.path.join(_kind.SYSFS, "class/net/*/speed")):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            speeds.append(int(file.read()))
    page = os.sysconf("SC_PAGE_SIZE")
    return Machine(
        os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_NPROCESSORS_ONLN"), max(speeds), page, _huge_page_bytes()
    )


def _huge_page_bytes() -> int:
    """The default size of a huge page: 512 MiB on some ARM machines, 1 GiB where the boot loader has said so."""
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("Hugepagesize:"):
                return int(line.split()[1]) * 1024
    return 2**21
