from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.known_hosts import KnownHost, KnownKey, known_host
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import SSHTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_config import (
    SSHAddress,
    SSHConfig,
    ssh_config,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import ConnectionLost

OPTIONS: dict[str, Any] = {
    "host": "h1.example",
    "port": None,
    "remote_user": None,
    "password": None,
    "private_key_file": None,
    "host_key_checking": True,
    "timeout": 10,
    "ssh_args": "-C -o ControlMaster=auto -o ControlPersist=60s",
    "ssh_common_args": "-F none",
    "ssh_extra_args": None,
}
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIAVYbCKnr2m45L7jAyqVufF+RDzBVxbO4HyjPOcJCnOC"


def address_of(**options: Any) -> SSHAddress:
    return SSHAddress.of_connection((OPTIONS | options).get)


def config_of(**settings: str) -> SSHConfig:
    return SSHConfig(SSHAddress("h1.example"), {name: [value] for name, value in settings.items()})


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"ssh_args": "-C -v", "ssh_common_args": None}, ["-C", "-v"]),
        ({"ssh_args": None, "ssh_common_args": "-o A='b c'", "ssh_extra_args": "-v"}, ["-o", "A=b c", "-v"]),
        (
            {
                "ssh_args": "-C",
                "ssh_common_args": "-J j",
                "port": "2222",
                "remote_user": "me",
                "host_key_checking": False,
            },
            ["-C", "-o", "StrictHostKeyChecking=no", "-o", "Port=2222", "-o", 'User="me"', "-J", "j"],
        ),
        (
            {"ssh_args": "", "ssh_common_args": "", "private_key_file": "/own keys/k"},
            ["-o", 'IdentityFile="/own keys/k"'],
        ),
    ],
)
def test_passes_the_same_arguments_to_ssh_as_ansible(options: dict[str, Any], arguments: list[str]) -> None:
    assert list(address_of(**options).arguments) == arguments


def test_the_password_is_not_in_the_representation() -> None:
    assert "s3cret" not in repr(address_of(password="s3cret"))  # noqa: S106


def test_the_configuration_supplies_what_the_inventory_does_not(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host h1.example\n  HostName 192.0.2.1\n  Port 2222\nHost *\n  User anybody\n  Port 1\n")
    found = ssh_config(address_of(ssh_common_args=f"-F {config}"))
    assert (found.hostname, found.port, found.user) == ("192.0.2.1", 2222, "anybody")
    found = ssh_config(address_of(ssh_common_args=f"-F {config} -o User=other", port=22, host="fe80::1%h0"))
    assert (found.hostname, found.port, found.user) == ("fe80::1%h0", 22, "other")


def test_a_missing_ssh_is_reported() -> None:
    with pytest.raises(ConnectionLost, match=r"SSH to h1\.example: .*No such file or directory: '/no/ssh'"):
        SSHTransport(address_of(ssh_executable="/no/ssh"))


def test_a_broken_configuration_is_reported(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Nonsense yes\n")
    with pytest.raises(ConnectionLost, match=r"SSH to h1\.example: .*line 1: Bad configuration option: nonsense"):
        SSHTransport(address_of(ssh_common_args=f"-F {config}"))


def test_a_refused_connection_is_reported() -> None:
    with pytest.raises(ConnectionLost, match=r"SSH to 127\.0\.0\.1: .*refused"):
        SSHTransport(address_of(host="127.0.0.1", port=1))


def test_a_host_name_is_never_an_option(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLost):
        SSHTransport(address_of(host=f"-oProxyCommand=touch {tmp_path}/mark"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("jump", "command"),
    [
        ("jump", ["ssh", "-W", "[h1]:22", "ssh://jump"]),
        ("me@jump:23", ["ssh", "-W", "[h1]:22", "ssh://me@jump:23"]),
        ("a,me@[fd00::1]:23", ["ssh", "-J", "a", "-W", "[h1]:22", "ssh://me@[fd00::1]:23"]),
        ("none", []),
    ],
)
def test_builds_the_command_for_jump_hosts(jump: str, command: list[str]) -> None:
    assert config_of(hostname="h1", proxyjump=jump).proxy_command() == command


@pytest.mark.parametrize("arguments", [("-F", "/c"), ("-4F/c",), ("-C", "-oPort=1", "-F", "/b", "-vF", "/c")])
def test_the_jump_host_gets_only_the_configuration_file(arguments: tuple[str, ...]) -> None:
    found = SSHConfig(SSHAddress("h1", arguments, "/opt/ssh"), {"proxyjump": ["jump"]})
    assert found.proxy_command() == ["/opt/ssh", "-F", "/c", "-W", "[h1]:22", "ssh://jump"]


def test_a_proxy_command_runs_in_the_users_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/own")
    found = config_of(
        hostname="10.0.0.1", user="me", port="23", hostkeyalias="one", proxycommand="p %h:%p '%r' %n %k %% | x"
    )
    assert found.proxy_command() == ["/bin/own", "-c", "exec p 10.0.0.1:23 'me' h1.example one % | x"]
    # Inserted values are not expanded again.
    assert config_of(hostname="fe80::1%p", proxycommand="p %h").proxy_command()[-1] == "exec p fe80::1%p"


@pytest.mark.parametrize("name", ["a$(id)", "a`id`", "a;id", "-oX", "a b", "a'b", "a\nb", "a\\", "a|b", "a>b", "a&"])
def test_shell_syntax_in_a_name_is_refused(name: str) -> None:
    with pytest.raises(ConnectionLost, match="contains shell syntax"):
        config_of(hostname=name, proxycommand="p %h").proxy_command()
    with pytest.raises(ConnectionLost, match="contains shell syntax"):
        config_of(hostname="h1", user=name, proxycommand="p '%r'").proxy_command()
    assert config_of(hostname=name, proxycommand="p fixed").proxy_command()


def test_the_home_directory_is_that_of_the_account_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.setenv("KEYS", "/keys")
    home = pwd.getpwuid(os.getuid()).pw_dir
    found = config_of(hostname="h1", user="me")
    named = {"~/.ssh/id": f"{home}/.ssh/id", "%d/%r@%h": f"{home}/me@h1", "${KEYS}/%%": "/keys/%", "/a~/b": "/a~/b"}
    assert {name: found.expand(name) for name in named} == named


@pytest.mark.parametrize(
    ("keys", "strictness", "said"),
    [
        ([KnownKey("a", b"1")], "true", None),
        ([KnownKey("a", b"2"), KnownKey("a", b"1")], "true", None),
        ([], "ask", "h1 was not found in known_hosts"),
        ([], "accept-new", None),
        ([KnownKey("b", b"2")], "accept-new", None),
        ([KnownKey("a", b"2")], "accept-new", "the host key of h1 does not match the one in known_hosts"),
        ([KnownKey("a", b"2")], "true", "the host key of h1 does not match the one in known_hosts"),
        ([KnownKey("a", b"1"), KnownKey("a", b"1", "revoked")], "true", "the host key of h1 is revoked"),
        ([KnownKey("a", b"1"), KnownKey("a", b"2", "revoked")], "true", None),
        (
            [KnownKey("a", b"2", "cert-authority")],
            "true",
            "known_hosts has only a certificate authority for h1; add the host's own key",
        ),
        ([KnownKey("a", b"1"), KnownKey("a", b"2", "cert-authority")], "true", None),
    ],
)
def test_trusts_the_keys_that_ssh_would_trust(keys: list[KnownKey], strictness: str, said: str | None) -> None:
    assert KnownHost("h1", tuple(keys), strictness).rejection("a", b"1") == said


@pytest.mark.parametrize("strictness", ["no", "off", "false"])
def test_host_key_checking_can_be_disabled(strictness: str) -> None:
    assert not KnownHost("h1", (), strictness).is_checked
    assert KnownHost("h1", (), "ask").is_checked


def test_file_names_may_contain_spaces(tmp_path: Path) -> None:
    (tmp_path / "known hosts").write_text(f"h1 ssh-ed25519 {KEY}\n")
    (tmp_path / "second").write_text(f"h1 ssh-rsa {KEY}\n")
    (tmp_path / "known").write_text("")
    files = f"{tmp_path}/gone {tmp_path}/known hosts {tmp_path}/second"
    assert known_host(config_of(hostname="h1", userknownhostsfile=files)).kinds == ["ssh-ed25519", "ssh-rsa"]


def test_an_inaccessible_file_counts_as_missing(tmp_path: Path) -> None:
    """A name that is too long fails like an inaccessible folder, even for root."""
    (tmp_path / "known").write_text(f"h1 ssh-ed25519 {KEY}\n")
    files = f"{tmp_path}/{'x' * 300} {tmp_path}/known"
    assert known_host(config_of(hostname="h1", userknownhostsfile=files)).kinds == ["ssh-ed25519"]


def test_an_expanded_file_name_is_not_expanded_again(tmp_path: Path) -> None:
    (tmp_path / "fe80::1%h0").write_text(f"fe80::1%h0 ssh-ed25519 {KEY}\n")
    found = config_of(hostname="fe80::1%h0", userknownhostsfile=f"{tmp_path}/fe80::1%h0 {tmp_path}/%%")
    assert known_host(found).kinds == ["ssh-ed25519"]


@pytest.mark.parametrize(
    ("lines", "kinds", "markers"),
    [
        ("[h1]:23 ssh-ed25519 {key}", ["ssh-ed25519"], [""]),
        ("h1 ssh-ed25519 {key}", ["ssh-ed25519"], [""]),
        ("[h1]:23 ssh-ed25519 {key}\nh1 ssh-rsa {key}", ["ssh-ed25519"], [""]),
        ("@cert-authority * ssh-ed25519 {key}\nh1 ssh-ed25519 {key}", ["ssh-ed25519"], ["cert-authority", ""]),
        (" \t @revoked  *\tssh-ed25519 {key}", [], ["revoked"]),
        ("# h1 ssh-ed25519 {key}", [], []),
        ("h2 ssh-ed25519 {key}", [], []),
    ],
)
def test_finds_the_known_keys_of_the_host(tmp_path: Path, lines: str, kinds: list[str], markers: list[str]) -> None:
    (tmp_path / "known").write_text(lines.format(key=KEY) + "\n")
    known = known_host(config_of(hostname="h1", port="23", userknownhostsfile=f"{tmp_path}/known"))
    assert known.kinds == kinds
    assert list(dict.fromkeys(key.marker for key in known.keys)) == markers


def test_an_unknown_argument_is_reported() -> None:
    with pytest.raises(ConnectionLost, match="option -9 not recognized in ssh's arguments"):
        SSHConfig(SSHAddress("h1", ("-9",)), {"proxyjump": ["jump"]}).proxy_command()
