# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The scheduler's settings in debugfs: `sched.<name>`."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from ansible_collections.autotune.kernel.plugins.module_utils import _kind


class Scheduler(_kind.SysfsKind):
    prefix = "sched"

    def path(self, parts: Sequence[str]) -> str:
        return os.path.join(_kind.SYSFS, "kernel/debug", *parts)

    def why_missing(self, parts: Sequence[str]) -> str | None:
        debugfs = self.path([])
        if not os.path.isdir(debugfs):
            return "this kernel has no debugfs (CONFIG_DEBUG_FS), which holds the scheduler's settings"
        try:
            entries = os.listdir(debugfs)
        except OSError as error:
            return f"debugfs is not readable for user id {os.geteuid()} ({os.strerror(error.errno or 0)}): use become"
        if not entries:
            return (
                f"debugfs is not mounted: mount -t debugfs debugfs {debugfs} "
                "(if that is refused, this kernel was booted with debugfs=off, or this is a container)"
            )
        if self.prefix not in entries:
            return "this kernel's debugfs has no scheduler settings: the kernel is older than 5.13"
        return None

    def why_refused(self, parts: Sequence[str], error: OSError) -> str:
        if error.errno == errno.EPERM:
            return "debugfs is closed because this kernel is locked down (Secure Boot, or lockdown= at boot)"
        return super().why_refused(parts, error)
