from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import (
    SSHAddress,
    SSHTransport,
    _options_in,
    _without_jump,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import Lost

OPTIONS: dict[str, Any] = {
    "host": "h1.example",
    "port": None,
    "remote_user": None,
    "password": None,
    "private_key_file": None,
    "host_key_checking": True,
    "timeout": 10,
    "ssh_args": "-C -o ControlMaster=auto -o ControlPersist=60s",
    "ssh_common_args": "",
    "ssh_extra_args": None,
}


def address_of(**options: Any) -> SSHAddress:
    return SSHAddress.of_connection((OPTIONS | options).get)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty ~/.ssh."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["-C", "-4", "-v"], {}),
        (["-o", "Port=2222"], {"port": "2222"}),
        (["-oPort=2222"], {"port": "2222"}),
        (["-o", "Port 2222"], {"port": "2222"}),
        (["-o", " Port = 2222 "], {"port": "2222"}),
        (["-o", 'User="some one"'], {"user": "some one"}),
        (
            ["-o", "ProxyCommand=ssh -W %h:%p -q jump"],
            {"proxycommand": "ssh -W %h:%p -q jump"},
        ),
        (
            ["-o", "ProxyCommand ssh -o A=b -W %h:%p jump"],
            {"proxycommand": "ssh -o A=b -W %h:%p jump"},
        ),
        (["-J", "jump:22,other"], {"proxyjump": "jump:22,other"}),
        (["-Jjump"], {"proxyjump": "jump"}),
        (["-o", "ProxyJump=first", "-J", "second"], {"proxyjump": "first"}),
        (["-o", "User=one", "-o", "User=two"], {"user": "one"}),
        (["-i", "/keys/own", "-p", "2222", "-l", "me"], {"identityfile": "/keys/own", "port": "2222", "user": "me"}),
        (["-o", "UserKnownHostsFile=/dev/null"], {"userknownhostsfile": "/dev/null"}),
        (["-F", "-oPort=1"], {}),
        (["-o"], {}),
        (["-o", "="], {}),
    ],
)
def test_reads_sshs_own_arguments(arguments: list[str], options: dict[str, str]) -> None:
    assert _options_in(arguments) == options


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["-C", "-o", "StrictHostKeyChecking=no"], ["-C", "-o", "StrictHostKeyChecking=no"]),
        (["-J", "jump", "-C"], ["-C"]),
        (["-Jjump", "-C"], ["-C"]),
        (["-o", "ProxyJump=jump", "-oProxyCommand=x", "-o", "proxycommand ssh x"], []),
        (["-o", "ControlMaster=auto", "-oControlPath=/x", "-o", "ControlPersist=60s", "-S", "/x", "-M"], []),
        (["-p", "2222", "-l", "me", "-o", "Port=1", "-o", "User=me", "-o", "HostName=x"], []),
        (["-o", "UserKnownHostsFile=/k"], ["-o", "UserKnownHostsFile=/k"]),
        (["-i", "controlkey"], ["-i", "controlkey"]),
        (["-F", "/etc/own_config", "-v"], ["-F", "/etc/own_config", "-v"]),
    ],
)
def test_knows_what_the_jump_host_must_not_be_told(arguments: list[str], kept: list[str]) -> None:
    assert _without_jump(arguments) == kept


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"host": "h1.example", "port": None, "user": None, "timeout": 10.0, "check_host_key": True}),
        ({"port": "2222", "remote_user": "me"}, {"port": 2222, "user": "me"}),
        ({"host_key_checking": False}, {"check_host_key": False}),
        ({"timeout": None}, {"timeout": 10.0}),
        ({"host": "fe80::1%eth0"}, {"host": "fe80::1%eth0"}),
        (
            {"ssh_args": "-C", "ssh_common_args": "-o A='b c'", "ssh_extra_args": "-v"},
            {"arguments": ["-C", "-o", "A=b c", "-v"]},
        ),
        ({"ssh_args": None}, {"arguments": []}),
    ],
)
def test_takes_the_inventorys_word(options: dict[str, Any], expected: dict[str, Any]) -> None:
    address = address_of(**options)
    assert {name: getattr(address, name) for name in expected} == expected


def test_never_shows_the_password() -> None:
    assert "s3cret" not in repr(address_of(password="s3cret"))  # noqa: S106


def test_ssh_config_fills_in_what_the_inventory_leaves_open(home: Path) -> None:
    (home / ".ssh" / "key").write_text("")
    (home / ".ssh" / "config").write_text(
        "Host h1.example\n  HostName 192.0.2.1\n  Port 2222\n  IdentityFile ~/.ssh/key\n  IdentityFile ~/.ssh/gone\n"
        "Host *\n  User anybody\n  Port 1\n"
    )
    address = address_of(ssh_common_args="-o User=somebody")
    assert {name: address.options[name] for name in ("hostname", "port", "user")} == {
        "hostname": "192.0.2.1",
        "port": "2222",
        "user": "somebody",
    }
    assert address.key_files == [str(home / ".ssh" / "key")]


def test_a_config_without_a_hostname_names_none(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  User anybody\n")
    assert "hostname" not in address_of().options


def test_the_inventorys_key_comes_before_all_others(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  IdentityFile ~/.ssh/config\n")
    assert address_of(private_key_file="/keys/own").key_files == ["/keys/own"]
    named = address_of(ssh_extra_args="-i ~/.ssh/config").key_files
    assert named == [str(home / ".ssh" / "config")] * 2


@pytest.mark.parametrize("text", ["Host 'unclosed\n", "Match nonsense\n"])
def test_a_config_that_cannot_be_read_is_said(text: str, home: Path) -> None:
    (home / ".ssh" / "config").write_text(text)
    with pytest.raises(Lost, match=r"SSH to h1\.example: .*/\.ssh/config: "):
        SSHTransport(address_of())


def test_an_address_where_nobody_listens_is_lost(home: Path) -> None:
    with pytest.raises(Lost, match=r"SSH to 127\.0\.0\.1: "):
        SSHTransport(address_of(host="127.0.0.1", port=1))
