# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Logging in as ssh would: the agent's keys, those in the identity files, then the password."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH
from paramiko.pkey import PublicBlob

from .ssh_config import SSHSettings


class AgentAt(AgentSSH):
    """The agent that listens at that path, which need not be the one of SSH_AUTH_SOCK."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        self._connect(connection)  # type: ignore[attr-defined]  # meant for subclasses, says its source

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]


def log_in(transport: paramiko.Transport, route: SSHSettings, password: str | None) -> None:
    """Authenticate, or raise paramiko.AuthenticationException, or SSHException where the server hangs up."""
    user = route.user
    try:
        transport.auth_none(user)
    except paramiko.BadAuthenticationType as refusal:
        accepted = list(refusal.allowed_types)
    else:
        return
    agent = _agent(route)
    try:
        for key in _keys(route, agent) if "publickey" in accepted else ():
            with suppress(paramiko.AuthenticationException):
                accepted = transport.auth_publickey(user, key)  # what it takes besides: usually nothing
                if not accepted:
                    return
                break
    finally:
        if agent:
            agent.close()
    if password is None:
        raise paramiko.AuthenticationException(f"{user} cannot log in there: no key was accepted")
    transport.auth_password(user, password)


def _agent(route: SSHSettings) -> AgentAt | None:
    named = route.get("identityagent", "SSH_AUTH_SOCK") if route.settings.get("identityagent") != ["none"] else ""
    if named == "SSH_AUTH_SOCK" or named.startswith("$"):
        named = os.environ.get(named.lstrip("$").strip("{}"), "")
    try:
        return AgentAt(route.expanded(named)) if named else None
    except (OSError, paramiko.SSHException):
        return None


def _keys(route: SSHSettings, agent: AgentAt | None) -> Iterator[paramiko.PKey]:
    """The keys to try, in ssh's order: the agent's that are named, its others, the named files."""
    held = agent.get_keys() if agent else ()
    named = {blob: path for path in route.identity_files if (blob := _public(path))}
    yield from (key for key in held if key.asbytes() in named)
    if route.get("identitiesonly") != "yes":
        yield from (key for key in held if key.asbytes() not in named)
    tried = {key.asbytes() for key in held}
    for path in route.identity_files:
        key = _private(path)
        if key and key.asbytes() not in tried:
            yield from _certified(key, route)
            yield key


def _certified(key: paramiko.PKey, route: SSHSettings) -> Iterator[paramiko.PKey]:
    """The key under each of its certificates that CertificateFile names."""
    plain = key.public_blob  # or with the certificate beside it, which paramiko has found by itself
    for name in route.settings.get("certificatefile", ()):
        with suppress(OSError, ValueError, paramiko.SSHException):
            certificate = PublicBlob.from_file(route.expanded(name))
            # Behind its kind and a random number, a certificate has what the public key has behind its kind.
            if _behind(certificate.key_blob, 2).startswith(_behind(key.asbytes(), 1)):
                key.public_blob = certificate
                yield key
    key.public_blob = plain


def _behind(blob: bytes, fields: int) -> bytes:
    message = paramiko.Message(blob)
    for dummy in range(fields):
        message.get_binary()
    return message.get_remainder()


def _public(path: Path) -> bytes | None:
    """The public half, which may be all that there is of the key here: beside the private one, or named itself."""
    for file in (Path(f"{path}.pub"), path):
        with suppress(OSError, ValueError, IndexError):
            return base64.b64decode(file.read_text().split()[1])
    return None


def _private(path: Path) -> paramiko.PKey | None:
    """The key in the file, or None where there is none that can be had without asking for a passphrase."""
    try:
        return paramiko.PKey.from_path(path)
    except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
        return None
