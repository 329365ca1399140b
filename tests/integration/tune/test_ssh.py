# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever ssh is configured to do: our connection leads to the machine and the account that Ansible's own leads to.

One sshd on a host of the lab, with accounts of several kinds, and one inventory with a host for each way to get there.
Ansible is asked once what it finds behind each of them.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.plugins.loader import init_plugin_loader
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import Benchmark, BenchmarkFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.connections import load_generator
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import SSHTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import ConnectionLost, output_of

PORT = 2222
PASSWORD = "quei4Shi-of-the-door"  # noqa: S105
WHO = "echo; hostname; echo $LOGNAME"
SSHD = f"""
Port {PORT}
HostKey /run/lab/host_key
AuthorizedKeysFile /run/lab/door/keys
PidFile /run/lab/door/pid
UsePAM no
UseDNS no
StrictModes no
Subsystem sftp internal-sftp
MaxStartups 200
"""
ACCOUNTS = {"anna": "/bin/sh", "noisy": "/bin/bash", "csh": "/run/lab/door/tcsh", "nologin": "/usr/sbin/nologin"}
# It sees the command too, prints on both outputs, without a line end at last, and what it prints looks like ours.
BASHRC = """
echo '/tmp/quota 91 percent used'; echo 'throughput: 1'
echo 'stray words' >&2; set -v; printf 'no line end'
"""
PROXY = """
import os, select, socket, sys
host, port, *words = sys.argv[1:]
print("through the proxy:", host, port, *words, file=sys.stderr)
connection = socket.create_connection((host, int(port)))
if words == ["fdpass"]:
    socket.send_fds(socket.socket(fileno=1), [b"x"], [connection.fileno()])
    sys.exit()
while True:
    for source in select.select([0, connection], [], [])[0]:
        data = os.read(0, 65536) if source == 0 else connection.recv(65536)
        if not data:
            sys.exit()
        connection.sendall(data) if source == 0 else os.write(1, data)
"""


@dataclass(frozen=True)
class Door:
    """The sshd. address: of lab1; link_local: the same by IPv6 with a scope; key: its host key, as in known_hosts."""

    lab: Any
    folder: Path
    address: str
    ipv6: str
    link_local: str
    key: str

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def known(self, *names: str, key: str = "") -> str:
        """Lines of known_hosts."""
        return "".join(f"{name} {key or self.key}\n" for name in names)

    def host(self, config: str, **variables: Any) -> dict[str, Any]:
        """An inventory's variables for one way to get here, by a ssh_config of its own."""
        own = self.write(f"config-{len(list(self.folder.iterdir()))}", config)
        # Each connection is one of its own, which no other has authenticated.
        plain = {"ansible_ssh_args": "-o ControlMaster=no"}
        key = {"ansible_ssh_private_key_file": str(self.lab.directory / "key")}
        return {**plain, **key, "ansible_ssh_common_args": f"-F {shlex.quote(str(own))}", **variables}


def _in_lab(lab: Any, path: str) -> Path:
    return Path(f"/proc/{lab.process('lab1')}/root{path}")


@pytest.fixture(autouse=True, scope="module")
def _importing_as_before() -> Iterator[None]:
    """Ansible's plugin loader takes over the imports of collections, which other tests here import as packages."""
    finders, hooks = sys.meta_path[:], sys.path_hooks[:]
    yield
    sys.meta_path[:], sys.path_hooks[:] = finders, hooks
    sys.path_importer_cache.clear()


@pytest.fixture(scope="module")
def door(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    if shutil.which("tcsh") is None:
        pytest.skip("no tcsh: ./dev test installs it")
    with ExitStack() as stack:
        add_accounts(lab, stack)
        ipv6, link_local = add_addresses(lab, stack)
        lab.run("lab1", "/usr/sbin/sshd", "-f", "/run/lab/door/config")
        stack.callback(lab.run, "lab1", "sh", "-c", "kill $(cat /run/lab/door/pid)")
        for address in (lab.hosts["lab1"], ipv6, link_local):
            wait_for(address)
        key = " ".join((lab.directory / "lab1/host_key.pub").read_text().split()[:2])
        yield Door(lab, tmp_path_factory.mktemp("door"), lab.hosts["lab1"], ipv6, link_local, key)


def add_accounts(lab: Any, stack: ExitStack) -> None:
    """sshd's files and the accounts, in lab1 alone."""
    sealed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True).stdout
    here, shadow = _in_lab(lab, "/run/lab/door"), _in_lab(lab, "/run/lab/shadow")
    stack.callback(shadow.write_text, shadow.read_text())
    stack.callback(shutil.rmtree, here)
    here.mkdir()
    (here / "config").write_text(SSHD)
    (here / "keys").write_text((lab.directory / "key.pub").read_text())
    shutil.copy(str(shutil.which("tcsh")), here / "tcsh")
    passwd = Path("/etc/passwd").read_text()
    for number, (name, shell) in enumerate(ACCOUNTS.items(), 64980):
        passwd += f"{name}:x:{number}:65534::/run/lab/door/{name}:{shell}\n"
        shadow.write_text(shadow.read_text() + f"{name}:{sealed.strip()}:19000:0:99999:7:::\n")
        (here / name).mkdir()
        shutil.chown(here / name, number)
    (here / "noisy/.bashrc").write_text(BASHRC)
    (here / "passwd").write_text(passwd)
    lab.run("lab1", "mount", "--bind", "/run/lab/door/passwd", "/etc/passwd")
    stack.callback(lab.run, "lab1", "umount", "/etc/passwd")


def add_addresses(lab: Any, stack: ExitStack) -> tuple[str, str]:
    """lab1's IPv6 address, and its link-local one with a scope that begins with `h`, which is a token in ssh_config."""
    link = lab.link("lab1")
    number = link.removeprefix("test").partition("n")[0]
    scope, network = f"h{number}", f"fd00:a8:{number}::"
    inside = ["dev", "eth0"], ["dev", link]
    lab.run("lab1", "ip", "address", "add", f"{network}2/64", *inside[0], "nodad")
    stack.callback(lab.run, "lab1", "ip", "address", "del", f"{network}2/64", *inside[0])
    for what, value in (("address", [f"{network}1/64"]), ("property", ["altname", scope])):
        on = ["ip", what] if what == "address" else ["ip", "link", what]
        more = ["nodad"] if what == "address" else []
        subprocess.run([*on, "add", *inside[1], *value, *more], check=True)
        stack.callback(subprocess.run, [*on, "del", *inside[1], *value], check=True)
    shown = json.loads(lab.run("lab1", "ip", "-json", "address", "show", "dev", "eth0").stdout)[0]["addr_info"]
    local = next(address["local"] for address in shown if address["local"].startswith("fe80:"))
    return f"{network}2", f"{local}%{scope}"


def wait_for(address: str) -> None:
    limit = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((address, PORT), 5).close()
            return
        except OSError:
            assert time.monotonic() < limit
            time.sleep(0.05)


@dataclass(frozen=True)
class Way:
    """One way to lab1: the inventory's variables, and who one is there; None where ssh refuses."""

    variables: dict[str, Any]
    user: str | None


@pytest.fixture(scope="module")
def ways(door: Door) -> Iterator[dict[str, Way]]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=pwd.getpwuid(os.getuid()).pw_dir)))
        yield _ways(door, home, stack)


def _ways(door: Door, home: Path, stack: ExitStack) -> dict[str, Way]:
    at_port = f"[{door.address}]:{PORT}"
    there = {"ansible_host": door.address, "ansible_port": PORT, "ansible_user": "anna"}
    good = door.write("known_hosts", door.known(at_port, "lab-one", f"[{door.ipv6}]:{PORT}"))
    knows = f"UserKnownHostsFile {good}\n"
    proxy = f"{sys.executable} {door.write('prox', PROXY)}"
    other = " ".join(Path(f"{door.lab.directory}/lab2/host_key.pub").read_text().split()[:2])

    door.write("config.d/one", f"Host aliased\n  HostName {door.address}\n  Port {PORT}\n  User noisy\n")
    aliased = f"Include {door.folder}/config.d/*\nMatch final all\n  HostKeyAlias Lab-One\n{knows}"
    wrapper = door.write("wrapper", f'#!/bin/sh\nexec ssh -F {door.write("wrapped", aliased)} "$@"\n', 0o755)
    damaged = (
        f"@cert-authority * {other}\nold 1024 35 1234567890\ndamaged\n{door.address} ssh-ed25519 AAAAnonsense\n"
        f"@revoked * {other}\n" + door.known(f"[{door.address.rpartition('.')[0]}.*]:{PORT}")
    )
    hashed = door.write("hashed", door.known(at_port))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", hashed], check=True, capture_output=True)
    (home / door.address).write_text(door.known(at_port))
    agent = door.folder / "agent"
    keeper = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL)
    stack.callback(keeper.wait)
    stack.callback(keeper.terminate)
    while not agent.exists():
        time.sleep(0.01)
    for key in (door.folder / "another", door.lab.directory / "key"):
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(agent)}, check=True)
    shutil.copy(door.lab.directory / "key.pub", door.folder / "held.pub")

    # ssh knows the interface by its first name, whatever it is called.
    scoped = f"{door.link_local.partition('%')[0]}%{door.lab.link('lab1')}"

    def known(text: str) -> str:
        return f"UserKnownHostsFile {door.write(f'known-{len(list(door.folder.iterdir()))}', text)}\n"

    def way(config: str, user: str | None = "anna", **variables: Any) -> Way:
        return Way(door.host(config, **{**there, **variables}), user)

    keyless = {"ansible_ssh_private_key_file": None}
    return {
        "include, HostKeyAlias, Match final": Way(door.host(aliased, ansible_host="aliased"), "noisy"),
        "executable": Way(
            {
                **door.host("", ansible_host="aliased", ansible_ssh_executable=str(wrapper)),
                "ansible_ssh_common_args": "",
            },
            "noisy",
        ),
        "proxy with shell syntax": way(
            f'{knows}ProxyCommand 2>>{door.folder}/log {proxy} "%h" %p "$(printf %%s %r)"',
            ansible_user="csh",
            user="csh",
        ),
        "proxy that hands over": way(f"{knows}ProxyCommand {proxy} %h %p fdpass\nProxyUseFdpass yes\n"),
        "jump": way(
            f"Host {door.address}\n  HostName 127.0.0.1\n  HostKeyAlias lab-one\n  ProxyJump root@jump:22\n"
            f"Host jump\n  HostName {door.address}\n  IdentityFile {door.lab.directory}/key\n  HostKeyAlias lab-one\n"
            f"Host *\n  {knows}"
        ),
        "damaged known_hosts": way(known(damaged)),
        "hashed known_hosts": way(f"UserKnownHostsFile {hashed}\n"),
        "known without a port": way(known(door.known(door.address))),
        "known of the system": way(f"GlobalKnownHostsFile {good}\nUserKnownHostsFile none\n"),
        "tilde and token": way(f"UserKnownHostsFile ~/{home.name}/%h\n"),
        "space": way(f'UserKnownHostsFile {door.folder}/none "{door.write("known hosts", door.known(at_port))}"\n'),
        "not checked": way(f"{known('')}StrictHostKeyChecking No\n"),
        "not checked by Ansible": way(known(""), ansible_host_key_checking=False),
        "new one accepted": way(f"{known('')}StrictHostKeyChecking accept-new\n"),
        "long IPv6": way(knows, ansible_host=door.ipv6.replace("::", ":0000:0:0:0:000")),
        "scope": way(known(door.known(f"[{scoped}]:{PORT}")), ansible_host=door.link_local),
        "agent": way(f"{knows}IdentityAgent {agent}\nIdentityFile {door.folder}/no-key\n", **keyless),
        "agent's key by its public half": way(
            f"{knows}IdentityAgent {agent}\nIdentitiesOnly yes\nIdentityFile {door.folder}/held.pub\n", **keyless
        ),
        "token in a key's name": way(f"{knows}IdentityFile {door.lab.directory}/k%%y\nIdentityFile {_tokens(door)}\n"),
        "password": way(f"{knows}IdentityAgent none\n", **keyless, ansible_password=PASSWORD),
        "noisy login shell": way(knows, "noisy", ansible_user="noisy"),
        "tcsh": way(knows, "csh", ansible_user="csh"),
        "unknown": way(known(""), None),
        "another key": way(known(door.known(at_port, key=other)), None),
        "another key, new ones accepted": way(
            f"{known(door.known(at_port, key=other))}StrictHostKeyChecking accept-new\n", None
        ),
        "revoked": way(known(f"{door.known(at_port)}@revoked * {door.key}\n"), None),
        "all but this one": way(known(door.known(f"[198.19.*]:{PORT},!{at_port}")), None),
        "no password for another key": way(
            f"{known(door.known(at_port, key=other))}StrictHostKeyChecking no\nIdentityAgent none\n",
            None,
            **keyless,
            ansible_password=PASSWORD,
        ),
        "agent's keys not wanted": way(
            f"{knows}IdentityAgent {agent}\nIdentitiesOnly yes\nIdentityFile {door.folder}/no-key\n", None, **keyless
        ),
        "broken configuration": way("Nonsense yes\n", None),
    }


def _tokens(door: Door) -> Path:
    path = door.folder / f"anna@{door.address}-{PORT}"
    shutil.copy(door.lab.directory / "key", path)
    return path.with_name("%r@%h-%p")


def connect(way: Way) -> SSHTransport:
    """As a run does, from what Ansible's connection says of itself."""
    transport = load_generator("host", way.variables)
    assert isinstance(transport, SSHTransport)
    return transport


def test_leads_where_ansible_gets_to(door: Door, ways: dict[str, Way]) -> None:
    init_plugin_loader()
    ansible = as_ansible_finds(door, ways)
    assert ansible == {name: ["lab1", way.user] if way.user else None for name, way in ways.items()}
    for name, way in ways.items():
        if way.user is None:
            with pytest.raises(ConnectionLost):
                connect(way)
            continue
        try:
            transport = connect(way)
        except ConnectionLost as error:
            pytest.fail(f"{name}: {error}")
        assert output_of(transport, ["sh", "-c", WHO]).split() == ["lab1", way.user], name
        transport.close()
    assert (door.folder / "log").read_text().splitlines() == 2 * [f"through the proxy: {door.address} {PORT} csh"]


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("unknown", "was not found in known_hosts"),
        ("another key", "does not match the one in known_hosts"),
        ("revoked", "is revoked"),
        ("broken configuration", "Bad configuration option: nonsense"),
        ("agent's keys not wanted", "permission denied for anna: the host accepts none of the keys"),
    ],
)
def test_says_why_it_does_not_lead_there(ways: dict[str, Way], way: str, said: str) -> None:
    with pytest.raises(ConnectionLost, match="^SSH to .*" + said):
        connect(ways[way])


def test_a_name_from_the_inventory_never_reaches_a_shell(door: Door) -> None:
    mark = door.folder / "reached"
    way = Way(door.host("ProxyCommand echo %h\n", ansible_host=f"x$(touch${{IFS}}{mark})"), None)
    with pytest.raises(ConnectionLost):
        connect(way)
    way = Way(door.host("ProxyCommand echo %r\n", ansible_host="x", ansible_user=f"x;touch {mark};"), None)
    with pytest.raises(ConnectionLost):
        connect(way)
    assert not mark.exists()


def test_a_proxy_that_fails_is_quoted(door: Door) -> None:
    with pytest.raises(ConnectionLost, match=r"\(no way to x\)$"):
        connect(Way(door.host("ProxyCommand sh -c 'echo no way to %h >&2'\n", ansible_host="x"), None))


@pytest.mark.parametrize("way", ["noisy login shell", "tcsh"])
def test_a_benchmark_works_in_any_login_shell(door: Door, ways: dict[str, Way], tmp_path: Path, way: str) -> None:
    """And what start-up files print is neither its folder nor its result."""
    script = tmp_path / "bench.sh"
    script.write_text("pwd > where; stat -c %a . >> where; echo \"what: $WHAT\"; echo 'throughput: 5'; cat where")
    benchmark = Benchmark(connect(ways[way]), {"WHAT": "it's !5\n$x \\"}, 20)
    benchmark.copy([(script, "bench.sh")])

    result = benchmark.run("sh bench.sh", "throughput")

    assert (result.metric, result.streamed) == (5.0, [])
    folder, mode = door.lab.run("lab1", "sh", "-c", "cat /tmp/autotune.*/where").stdout.split()
    assert folder.startswith("/tmp/autotune.")
    assert mode == "700"
    assert benchmark.check("sh -c 'exit 3'", 5) == "ended with exit code 3: no message"
    with pytest.raises(BenchmarkFailed, match=r"exit code 4: no message$"):
        benchmark.run("sh -c 'exit 4'", "throughput")
    benchmark.remove()
    assert door.lab.run("lab1", "sh", "-c", "ls -d /tmp/autotune.*", check=False).stdout == ""


def test_an_account_without_a_shell_says_so(door: Door, ways: dict[str, Way]) -> None:
    way = Way({**ways["tcsh"].variables, "ansible_user": "nologin"}, None)
    transport = connect(way)
    with pytest.raises(OSError, match="This account is currently not available"):
        output_of(transport, ["true"])
    with pytest.raises(OSError, match="cannot create a private folder .*This account is currently not available"):
        Benchmark(transport, {}, 20).copy([])
    transport.close()


def test_where_no_program_may_run_the_folder_can_be_elsewhere(door: Door, ways: dict[str, Way], tmp_path: Path) -> None:
    script = tmp_path / "bench.sh"
    script.write_text("#!/bin/sh\necho throughput: 5 >&2; pwd > where")
    script.chmod(0o755)
    transport = connect(ways["tcsh"])
    door.lab.run("lab1", "mount", "-t", "tmpfs", "-o", "noexec,mode=1777", "none", "/tmp")
    try:
        benchmark = Benchmark(transport, {}, 20)
        benchmark.copy([(script, "bench.sh")])
        with pytest.raises(BenchmarkFailed, match="; /tmp on the host is mounted noexec: set ansible_remote_tmp"):
            benchmark.run("./bench.sh", "throughput")
        with pytest.raises(
            BenchmarkFailed, match=r"printed `throughput: 5` on standard error; print it on standard out"
        ):
            benchmark.run("sh bench.sh", "throughput")
        benchmark.remove()
        for base, folder in {"~/of its own": "/run/lab/door/csh/of its own", "$HOME": "/run/lab/door/csh"}.items():
            benchmark = Benchmark(transport, {}, 20, base)
            benchmark.copy([(script, "bench.sh")])
            with pytest.raises(BenchmarkFailed, match="on standard error"):
                benchmark.run("./bench.sh", "throughput")
            found = door.lab.run("lab1", "sh", "-c", f"cat '{folder}'/autotune.*/where").stdout
            assert found.startswith(f"{folder}/autotune.")
            benchmark.remove()
    finally:
        door.lab.run("lab1", "umount", "-l", "/tmp")
        transport.close()


def as_ansible_finds(door: Door, ways: dict[str, Way]) -> dict[str, list[str] | None]:
    inventory = door.write("inventory.json", json.dumps({"all": {"hosts": {n: w.variables for n, w in ways.items()}}}))
    words = ["all", "-i", str(inventory), "--forks", "8", "-m", "raw", "-a", WHO]
    ran = subprocess.run(
        [Path(sys.executable).with_name("ansible"), *words, "--tree", door.folder / "found"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (door.folder / "found").is_dir(), ran.stdout + ran.stderr
    answers = {path.name: json.loads(path.read_text()) for path in (door.folder / "found").iterdir()}
    return {name: answers[name]["stdout"].split()[-2:] if answers[name].get("rc") == 0 else None for name in ways}
