# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The watchdog as a transient systemd unit: its program, which needs nothing installed, and its permissions."""

from __future__ import annotations

import errno
import importlib
import io
import os
import subprocess
import sys
import zipfile

from ansible_collections.autotune.kernel.plugins.module_utils import _durable, _kernel

PROGRAM = "watchdog.pyz"
_PACKAGE = __name__.rpartition(".")[0]
_MAIN = f"from {_PACKAGE} import _watchdog\n_watchdog.main()\n"
_TIMEOUT = 20.0  # seconds; starting Python takes a fraction of a second

# Root that can set parameters, end a benchmark and write its verdict, and nothing else. systemd 239 and later know all
# of these. The unit must see /tmp and the processes of the benchmark, so they are not private.
_PROPERTIES = (
    "Restart=on-failure",  # also when it is killed
    "RestartSec=1",
    "StartLimitIntervalSec=0",
    "TimeoutStartSec=15",
    "OOMScoreAdjust=-1000",  # the OOM killer must spare it
    # CAP_SYS_RESOURCE: without it the kernel refuses to set user.*. CAP_SYS_PTRACE: the processes of a benchmark are
    # found by their environment, which most kernels show to nobody else.
    "CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN CAP_KILL CAP_DAC_OVERRIDE CAP_SYS_RESOURCE CAP_SYS_PTRACE",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "ProtectControlGroups=yes",
    "ProtectKernelModules=yes",
    "PrivateDevices=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "UMask=0077",
)


def is_possible() -> bool:
    """Whether systemd is the init, and a unit would run in the namespaces of this process."""
    return (
        os.path.isdir("/run/systemd/system")
        and os.geteuid() == 0
        and all(_namespace("self", kind) == _namespace("1", kind) for kind in ("net", "mnt", "pid"))
    )


def start(folder: str) -> None:
    """Write the program to the folder and start it; returns when it is ready. Raises OSError."""
    path = os.path.join(folder, PROGRAM)
    _durable.write(path, program(), mode=0o600)
    try:
        done = subprocess.run(
            command(path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, f"systemd-run did not finish within {_TIMEOUT:g} seconds") from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OSError(errno.EAGAIN, lines[-1] if lines else f"systemd-run ended with {done.returncode}")


def command(path: str) -> list[str]:
    """The command that has systemd run the program."""
    # A unique name, as the unit of the previous lease may still be ending.
    name = f"--unit=autotune-lease-{os.urandom(4).hex()}"
    fixed = ["--quiet", "--no-ask-password", "--collect", "--service-type=notify"]
    description = "--description=Restores leased kernel parameters when their lease expires"
    properties = (*_PROPERTIES, *_kernel.unit_properties(), f"ReadWritePaths={os.path.dirname(path)}")
    return [
        "systemd-run",
        *fixed,
        name,
        description,
        *(f"--property={setting}" for setting in properties),
        "--",
        sys.executable,
        "-I",
        path,
    ]


def program() -> bytes:
    """An archive for Python to run, with all our modules that are loaded: Ansible removes its own after the call.

    By hand: `python3 -I watchdog.pyz`.
    """
    importlib.import_module(f"{_PACKAGE}._watchdog")  # loads what it needs, every kind of setting included
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _MAIN)
        folder = ""
        for part in _PACKAGE.split("."):
            folder += f"{part}/"
            archive.writestr(f"{folder}__init__.py", "")
        for name, module in sorted(sys.modules.items()):
            if name.startswith(f"{_PACKAGE}.") and module.__spec__ is not None:
                source = module.__spec__.loader.get_source(name)  # type: ignore[union-attr]
                archive.writestr(f"{folder}{name.rpartition('.')[2]}.py", source)
    return content.getvalue()


def _namespace(process: str, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{process}/ns/{kind}")
    except OSError:
        return process
