# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who prevails at boot, and after `sysctl --system`: the real programs are asked, in a mount namespace with a /proc/sys
of plain files, and what they write, in which order, is compared with what is foretold."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _boot_files
from ansible_collections.autotune.kernel.plugins.module_utils._boot_files import Assignment

SYSTEMD_SYSCTL = "/usr/lib/systemd/systemd-sysctl"
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
NAMES = ("10-a", "90-w", "90-x", "90-y", "99-sysctl", "A")
PARAMETERS = ("vm.swappiness", "vm.dirty_bytes", "vm.dirty_ratio", "vm.dirty_background_ratio")
LINES = (
    b"vm.swappiness = %d",
    b"-vm/swappiness=%d",
    b"-vm.swappiness",
    b"vm.dirty_bytes = %d",
    b"vm.dirty_bytes = %d\nvm.dirty_bytes = %d",
    b"\tvm.dirty_ratio\t= %d ",
    b"-vm.dirty_ratio",
    b"vm.dirty_r* = %d",
    b"vm/*_ratio = %d",
    b"vm.[!d]* = %d",
    b"vm.*.x = %d",
    b"  # vm.swappiness = 9",
    b"; vm.swappiness = 9",
    b"vm.swappiness",
    b"\xff\xfe = %d",
    b"vm.swappiness = \xc3%d",
)
HOST = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /usr/local/lib
for folder in /etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d; do
    mkdir -p $folder
    mount --bind $1$folder $folder
done
mount --bind $1/etc/sysctl.conf /etc/sysctl.conf
mount --bind $1/proc /proc/sys
set +e
"""
SYSTEMD = f"{HOST} SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console {SYSTEMD_SYSCTL} 2>&1; true"
PROCPS = f"{HOST} sysctl --system 2>/dev/null; true"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root"),
    pytest.mark.skipif(not Path("/etc/sysctl.conf").exists(), reason="nothing to mount another sysctl.conf upon"),
]

Written = Sequence[tuple[str, str]]


def by_systemd(base: Path) -> Written:
    if not Path(SYSTEMD_SYSCTL).exists():
        pytest.skip("systemd is not installed")
    return re.findall(r"^Setting '/proc/sys/(\S+)' to '(.*)'", output_of(SYSTEMD, base), re.MULTILINE)


def by_procps(base: Path) -> Written:
    if not shutil.which("sysctl"):
        pytest.skip("procps is not installed")
    found = re.findall(r"^(\S+) = (.*)$", output_of(PROCPS, base), re.MULTILINE)
    return [(name.replace(".", "/"), value) for name, value in found]


def output_of(script: str, base: Path) -> str:
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(base)]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode(
        "utf-8", "surrogateescape"
    )


def make_host(base: Path, generator: random.Random) -> None:
    """Folders of sysctl.d, and a sysctl.conf, with whatever may lie there; our drop-in is 90-x.conf."""
    for parameter in PARAMETERS:
        path = base / "proc" / parameter.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for folder in FOLDERS:
        (base / folder[1:]).mkdir(parents=True)
        for name in generator.sample(NAMES, generator.randint(0, 4)):
            path = base / folder[1:] / f"{name}.conf"
            kind = generator.choice(("file", "file", "file", "file", "masked", "dangling"))
            if kind == "file":
                path.write_bytes(some_lines(generator))
            else:
                path.symlink_to("/dev/null" if kind == "masked" else "nowhere")
    (base / "etc/sysctl.conf").write_bytes(some_lines(generator) if generator.random() < 0.5 else b"")


def some_lines(generator: random.Random) -> bytes:
    lines = generator.choices(LINES, k=generator.randint(0, 3))
    numbers = (tuple(generator.randint(0, 2) for dummy in range(line.count(b"%d"))) for line in lines)
    return b"".join(line % number + b"\n" for line, number in zip(lines, numbers, strict=True))


def last_of(written: Written, parameter: str) -> tuple[str, str] | None:
    """What decides the parameter's value, of these writes: another one of its pair's ends it, unless it is a 0."""
    pair = {"vm/dirty_bytes", "vm/dirty_ratio"}
    path = parameter.replace(".", "/")
    concerns = [
        (name, value) for name, value in written if name == path or (path in pair and name in pair and value != "0")
    ]
    if path in pair:
        concerns = [(name, value) for name, value in concerns if value != "0"]
    return concerns[-1] if concerns else None


@pytest.mark.parametrize("real", [by_systemd, by_procps])
def test_what_is_foretold_comes_true(
    real: Callable[[Path], Written], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(5)
    for number in range(30):
        base = tmp_path / str(number)
        make_host(base, generator)
        if number == 0:  # seldom met by chance: a value that is repeated stays where systemd-sysctl first read it
            (base / "etc/sysctl.d/10-a.conf").unlink(missing_ok=True)
            (base / "etc/sysctl.d/10-a.conf").write_text("vm.dirty_bytes = 2\nvm.dirty_ratio = 1\n")
            for path in (base / folder[1:] / f"{name}.conf" for folder in FOLDERS for name in NAMES[1:]):
                path.unlink(missing_ok=True)
        dropin = base / "etc/sysctl.d/90-x.conf"
        dropin.unlink(missing_ok=True)
        dropin.write_text("vm.dirty_bytes = 2\nvm.swappiness = 2\n")
        folders = [str(base / folder[1:]) for folder in FOLDERS]
        assignments = _boot_files.in_order(
            str(dropin), _boot_files.parsed(str(dropin), dropin.read_text()), folders, []
        )
        if real is by_procps:
            assignments += _boot_files.parsed("", (base / "etc/sysctl.conf").read_text("utf-8", "surrogateescape"))
        written = real(base)
        for parameter in ("vm.swappiness", "vm.dirty_bytes"):
            judge = _boot_files.at_boot if real is by_systemd else _boot_files.deciding
            assert as_written(judge(parameter, assignments), parameter) == last_of(written, parameter), (
                f"{parameter} on host {number}: {written}"
            )


def as_written(found: Assignment | None, parameter: str) -> tuple[str, str] | None:
    if found is None or found.value is None:
        return None
    path = parameter.replace(".", "/")
    return path if found.path == path else "vm/dirty_ratio", found.value
