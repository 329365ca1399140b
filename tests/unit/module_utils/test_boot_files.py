"""What sets a parameter beside our drop-in. tests/integration/test_boot_files.py asks the real programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.module_utils import _boot_files, _ufw

BOTH = "at boot and after `sysctl --system`"
SYSTEM = "after `sysctl --system`, which also runs at boot where systemd is not the init"


class Etc:
    """Folders of sysctl.d, and what is said of a drop-in 90-x.conf in the first of them."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folders = [base / name for name in ("etc", "run", "lib")]
        for folder in self.folders:
            folder.mkdir()
        self.etc, self.run, self.lib = self.folders
        self.dropin = self.etc / "90-x.conf"

    def said(self, **values: str) -> list[str]:
        named = {name.replace("__", "."): value for name, value in (values or {"vm__swappiness": "10"}).items()}
        return _boot_files.warnings(str(self.dropin), named, [str(folder) for folder in self.folders])


@pytest.fixture
def etc(kernel: Any, tmp_path: Path) -> Etc:
    return Etc(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "prevails"),
    [
        ("99-a", "vm.swappiness=1", "sets vm.swappiness to 1"),
        ("99-a", " -vm/swappiness \t=  1\n", "sets vm.swappiness to 1"),
        ("99-a", "\xff\xfe\nvm.swappiness = 1 # x", "sets vm.swappiness to 1 # x"),
        ("A", "vm.swappiness=1", "sets vm.swappiness to 1"),
        ("99-a", "vm.swappiness = 10", None),
        ("99-a", "vm.swappiness = 0xa", None),
        ("99-a", "vm.swappiness = 010", "sets vm.swappiness to 010"),
        ("10-a", "vm.swappiness=1", None),
        ("90-x", "vm.swappiness=1", None),
        ("90-X", "vm.swappiness=1", None),
        ("99-a", "vm.swappiness=1\nvm.swappiness=10", None),
        ("99-a", "vm.swap*=1\n*/swappiness = 1", None),
        ("99-a", "# vm.swappiness=1\n;vm.swappiness=1\nvm.swappiness\n=\n-\nvm=1", None),
    ],
)
def test_the_last_line_prevails(name: str, text: str, prevails: str | None, etc: Etc) -> None:
    (etc.lib / f"{name}.conf").write_text(text, encoding="latin-1")
    file = etc.lib / f"{name}.conf"
    assert etc.said() == ([f"{file} {prevails} and prevails over {etc.dropin} {BOTH}"] if prevails else [])


def test_a_name_hides_the_same_one_in_the_folders_that_follow(etc: Etc) -> None:
    for name, hiding in (("91-masked", "/dev/null"), ("92-dangles", "nowhere")):
        (etc.lib / f"{name}.conf").write_text("vm.swappiness = 1\n")
        (etc.run / f"{name}.conf").symlink_to(hiding)
    (etc.lib / "93-empty.conf").write_text("vm.swappiness = 1\n")
    (etc.etc / "93-empty.conf").touch()
    assert etc.said() == [
        f"{etc.run}/92-dangles.conf was not checked: it is a dangling link to nowhere, which is ignored at boot"
    ]


def test_an_exclusion_takes_the_value_away_at_boot_only(etc: Etc) -> None:
    (etc.etc / "95.conf").write_text("-vm.swappiness\n")
    assert etc.said() == [
        f"{etc.etc}/95.conf excludes vm.swappiness, which is then not set, "
        f"and prevails over {etc.dropin} at boot under systemd"
    ]
    (etc.etc / "96.conf").write_text("vm.swappiness = 10\n")
    assert etc.said() == []


@pytest.mark.parametrize(
    ("later", "prevails"),
    [
        ("vm.dirty_ratio = 30", True),
        ("vm.dirty_r* = 30", True),
        ("-vm.dirty_ratio\nvm.dirty_r* = 30", False),
        ("vm.dirty_ratio = 0", False),
        ("vm.dirty_ratio = 30\nvm.dirty_bytes = 1\nvm.dirty_bytes = 4096", False),
        ("vm.dirty_background_ratio = 30", False),
    ],
)
def test_the_other_one_of_an_exclusive_pair_prevails_too(later: str, prevails: bool, etc: Etc) -> None:
    (etc.etc / "99-c.conf").write_text(later)
    said = (
        f"{etc.etc}/99-c.conf sets vm.dirty_ratio to 30, which disables vm.dirty_bytes, and prevails over {etc.dropin} "
    )
    assert etc.said(vm__dirty_bytes="4096") == ([said + BOTH] if prevails else [])


@pytest.mark.parametrize(("value", "prevails"), [("0", True), ("1", False)])
def test_another_parameter_that_changes_it_prevails_too(value: str, prevails: bool, etc: Etc) -> None:
    (etc.etc / "99-d.conf").write_text(f"net.ipv4.ip_forward = {value}\n")
    said = (
        f"{etc.etc}/99-d.conf sets net/ipv4/ip_forward to 0, which changes net.ipv4.conf.all.forwarding, "
        f"and prevails over {etc.dropin} {BOTH}"
    )
    assert etc.said(net__ipv4__conf__all__forwarding="1") == ([said] if prevails else [])


def test_a_repeated_value_stays_in_its_first_place_at_boot(etc: Etc) -> None:
    (etc.etc / "10-a.conf").write_text("vm.dirty_bytes = 4096")
    (etc.etc / "20-b.conf").write_text("vm.dirty_ratio = 30")
    assert etc.said(vm__dirty_bytes="4096") == [
        f"{etc.etc}/20-b.conf sets vm.dirty_ratio to 30, which disables vm.dirty_bytes, "
        f"and prevails over {etc.dropin} at boot under systemd"
    ]


def test_sysctl_conf_is_read_last_by_procps_alone_unless_a_link_leads_to_it(etc: Etc) -> None:
    conf = Path(_boot_files.SYSCTL_CONF)
    conf.write_text("vm.swappiness = 77\n")
    said = f"{conf} sets vm.swappiness to 77 and prevails over {etc.dropin} "
    assert etc.said() == [said + SYSTEM]
    (etc.etc / "99-sysctl.conf").symlink_to(conf)
    assert etc.said() == [said + BOTH]


@pytest.mark.parametrize(
    ("enabled", "text", "told"),
    [
        ("yes", "net/ipv4/tcp_sack=1", True),
        ("YES", "net/ipv4/tcp_s*=1", True),
        ("no", "net/ipv4/tcp_sack=1", False),
        ("yes", "-net/ipv4/tcp_sack", False),
    ],
)
def test_ufw_sets_its_own_when_it_starts(enabled: str, text: str, told: bool, etc: Etc) -> None:
    file = etc.base / "ufw-sysctl.conf"
    file.write_text(text)
    Path(_ufw.STATE).write_text(f"# x\nENABLED={enabled}\nLOGLEVEL=low\n")
    Path(_ufw.DEFAULTS).write_text(f'IPV6=yes\n#IPT_SYSCTL=/x\nIPT_SYSCTL="{file}"\n')
    said = f"{file} sets net.ipv4.tcp_sack to 1 and prevails over {etc.dropin} whenever ufw starts, at boot too"
    assert etc.said(net__ipv4__tcp_sack="0") == ([said] if told else [])


def test_nothing_that_lies_there_is_fatal(etc: Etc) -> None:
    os.mkfifo(etc.etc / "91-fifo.conf")
    (etc.etc / "92-folder.conf").mkdir()
    (etc.etc / "93-device.conf").symlink_to("/dev/zero")
    (etc.etc / "94-loop.conf").symlink_to("94-loop.conf")
    (etc.etc / "95-huge.conf").write_text("vm.swappiness = 1\n")
    os.truncate(etc.etc / "95-huge.conf", 1 << 40)
    (etc.run.rmdir(), etc.run.write_text("no folder"))
    (etc.lib / os.fsdecode(b"96-\xff\x1b.conf")).symlink_to("nowhere")
    said = "\n".join(etc.said())
    assert said.isascii(), "neither a lone surrogate nor an escape sequence"
    assert "\x1b" not in said
    for words in (
        "91-fifo.conf was not checked: it is a FIFO",
        "92-folder.conf was not checked: it is a directory",
        "93-device.conf was not checked: it is not a regular file",
        "94-loop.conf was not checked: it cannot be read (Too many levels of symbolic links)",
        "95-huge.conf was checked only up to its first 1048576 bytes",
        "95-huge.conf sets vm.swappiness to 1 and prevails",
        f"{etc.run} was not checked: Not a directory",
        "96-\\udcff\\x1b.conf' was not checked",
    ):
        assert words in said


def test_long_values_are_cut(etc: Etc) -> None:
    (etc.etc / "99.conf").write_text(f"vm.swappiness = {'1' * 100_000}")
    assert len(etc.said()[0]) < 1000


def test_what_a_module_brings_after_boot_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_boot_files, "MODULES", str(tmp_path / "modules"))
    (tmp_path / "modules").write_text("nf_conntrack 217088 1 - Live 0x0\nxt_sctp 1 0 - Live 0x0\n")
    (said,) = _boot_files.late_warnings(["net.netfilter.nf_conntrack_max", "net.sctp.rto_min", "vm.swappiness"])
    assert said == (
        "net.netfilter.nf_conntrack_max: at boot, there only once the module nf_conntrack is loaded; have that done "
        "early, by a file in /etc/modules-load.d with a line nf_conntrack"
    )
