# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""SSH authentication in ssh's order: the agent's keys, the identity files, the password."""

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

from .ssh_config import SSHConfig


class Agent(AgentSSH):
    """The agent at a given socket path; paramiko's own class knows only SSH_AUTH_SOCK."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        self._connect(connection)  # type: ignore[attr-defined]  # intended for subclasses, by paramiko's source

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]


def authenticate(transport: paramiko.Transport, config: SSHConfig, password: str | None) -> None:
    """Raises paramiko.AuthenticationException, or SSHException if the server hangs up."""
    user = config.user
    try:
        transport.auth_none(user)
    except paramiko.BadAuthenticationType as refusal:
        methods = list(refusal.allowed_types)
    else:
        return
    agent = _agent(config)
    try:
        for key in _keys(config, agent) if "publickey" in methods else ():
            with suppress(paramiko.AuthenticationException):
                # The result is what the server requires in addition: usually nothing.
                if not transport.auth_publickey(user, key):
                    return
                break
    finally:
        if agent:
            agent.close()
    if password is None:
        raise paramiko.AuthenticationException(f"permission denied for {user}: the host accepts none of the keys")
    transport.auth_password(user, password)


def _agent(config: SSHConfig) -> Agent | None:
    name = config.get("identityagent", "SSH_AUTH_SOCK") if config.settings.get("identityagent") != ["none"] else ""
    if name == "SSH_AUTH_SOCK" or name.startswith("$"):
        name = os.environ.get(name.lstrip("$").strip("{}"), "")
    try:
        return Agent(config.expand(name)) if name else None
    except (OSError, paramiko.SSHException):
        return None


def _keys(config: SSHConfig, agent: Agent | None) -> Iterator[paramiko.PKey]:
    """The keys to try, in ssh's order: those of the agent that are configured, its others, the identity files."""
    held = agent.get_keys() if agent else ()
    configured = {blob for path in config.identity_files if (blob := _public_blob(path))}
    yield from (key for key in held if key.asbytes() in configured)
    if config.get("identitiesonly") != "yes":
        yield from (key for key in held if key.asbytes() not in configured)
    tried = {key.asbytes() for key in held}
    for path in config.identity_files:
        key = _private_key(path)
        if key and key.asbytes() not in tried:
            yield from _with_certificates(key, config)
            yield key


def _with_certificates(key: paramiko.PKey, config: SSHConfig) -> Iterator[paramiko.PKey]:
    """The key with each of its certificates named by CertificateFile."""
    original = key.public_blob  # perhaps the certificate beside the key, which paramiko finds by itself
    for name in config.settings.get("certificatefile", ()):
        with suppress(OSError, ValueError, paramiko.SSHException):
            certificate = PublicBlob.from_file(config.expand(name))
            # After its type and a nonce, a certificate has the same fields as the public key after its type.
            if _after_fields(certificate.key_blob, 2).startswith(_after_fields(key.asbytes(), 1)):
                key.public_blob = certificate
                yield key
    key.public_blob = original


def _after_fields(blob: bytes, count: int) -> bytes:
    message = paramiko.Message(blob)
    for dummy in range(count):
        message.get_binary()
    return message.get_remainder()


def _public_blob(path: Path) -> bytes | None:
    """The public key, which may be all there is on the controller: KEY.pub beside KEY, or configured itself."""
    for file in (Path(f"{path}.pub"), path):
        with suppress(OSError, ValueError, IndexError):
            return base64.b64decode(file.read_text().split()[1])
    return None


def _private_key(path: Path) -> paramiko.PKey | None:
    """The key in the file; None if it is missing, unreadable or needs a passphrase."""
    try:
        return paramiko.PKey.from_path(path)
    except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
        return None
