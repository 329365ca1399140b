# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Why a host cannot be reached, or has no Python that modules run on, as a finding."""

from __future__ import annotations

import shlex
import socket

import paramiko

from .._worker.module_call import BecomeFailed, ModuleFailed
from .._worker.ssh import UntrustedHostKey
from .._worker.ssh_config import SSHConfig
from .._worker.transport import ConnectionLost
from .finding import Finding, problem


def lost(host: str, error: ConnectionLost, config: SSHConfig | None) -> Finding:
    """config: the host's, None if it could not be read."""
    cause = error.__cause__
    if config is None:
        return problem(host, str(error), "correct ansible_ssh_common_args, ansible_ssh_extra_args or ~/.ssh/config")
    if isinstance(cause, UntrustedHostKey):
        return problem(host, str(error), _trust(cause, config))
    user, address, port = config.user, config.hostname, config.port
    if isinstance(cause, paramiko.AuthenticationException):
        keys = [str(path) for path in config.identity_files if path.is_file()][:1]
        copy = ["ssh-copy-id", *[word for key in keys for word in ("-i", key)], "-p", str(port), f"{user}@{address}"]
        return problem(host, str(error), f"{shlex.join(copy)}, or set ansible_user or ansible_ssh_private_key_file")
    if isinstance(cause, ConnectionRefusedError):
        what = f"SSH to {address}: nothing listens on port {port}"
        return problem(host, what, "start sshd on the host (systemctl start ssh), or set ansible_port in the inventory")
    if isinstance(cause, socket.gaierror):
        return problem(host, str(error), "ansible_host: ADDRESS, as a variable of the host in the inventory")
    return problem(host, str(error), f"find where it fails: ssh -v -p {port} {shlex.quote(f'{user}@{address}')} true")


def _trust(rejected: UntrustedHostKey, config: SSHConfig) -> str:
    known = rejected.known
    file = shlex.quote(str(known.files[0]) if known.files else config.expand("~/.ssh/known_hosts"))
    kind = _scanned(rejected.kind)
    scan = f"ssh-keyscan -p {config.port} -t {kind} {shlex.quote(config.hostname)}"
    if any(key.kind == rejected.kind for key in known.keys):
        return f"if the host was reinstalled: ssh-keygen -R {shlex.quote(known.name)} -f {file}; {scan} >> {file}"
    own = f"`ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub` on the host's console"
    return f"{scan} >> {file}, once `{scan} | ssh-keygen -lf -` shows the same as {own}"


def _scanned(kind: str) -> str:
    """What ssh-keyscan calls a type of key."""
    return {"ssh-rsa": "rsa", "ssh-ed25519": "ed25519"}.get(kind, "ecdsa")


def python(host: str, interpreter: str, version: str | None, good: str | None) -> Finding:
    """interpreter: what the inventory says, or auto. version: None if it does not run. good: another that would do."""
    if interpreter == "auto":
        what = "no Python 3.9 or later was found"
    elif version is None:
        what = f"{interpreter}, its ansible_python_interpreter, does not run"
    else:
        what = f"{interpreter}, its ansible_python_interpreter, is Python {version}; 3.9 or later is needed"
    edit = f"ansible_python_interpreter: {good}, as a variable of the host in the inventory"
    return problem(host, what, edit if good else "on the host: apt-get install python3 (or: dnf install python3.11)")


def module_failed(host: str, failure: ModuleFailed, again: str) -> Finding:
    """The module could not become root, or refused. again: the command that calls it by itself."""
    if not isinstance(failure, BecomeFailed):
        return problem(host, str(failure), f"for details: {again} -vvv")
    remedy = (
        "add --ask-become-pass, or apply role autotune.kernel.access and leave become out, as in docs/how-to/install.md"
    )
    return problem(host, f"become does not work ({failure.output})", remedy)
