# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which keys are shown to a host, and under which certificates."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_auth import _keys
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_config import SSHAddress, SSHConfig


def keygen(*arguments: object) -> None:
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_offers_a_key_with_its_certificates(tmp_path: Path, kind: str) -> None:
    """As ssh does with CertificateFile; no key was accepted by a host that takes certificates alone."""
    for name in ("authority", "key", "other"):
        keygen("-t", kind, "-N", "", "-f", tmp_path / name)
    for name in ("key", "other"):
        keygen("-s", tmp_path / "authority", "-I", "x", "-n", "root", tmp_path / f"{name}.pub")
        (tmp_path / f"{name}-cert.pub").rename(tmp_path / f"{name} certified.pub")
    certificates = [str(tmp_path / name) for name in ("gone", "other certified.pub", "key certified.pub")]
    settings = {"identityfile": [str(tmp_path / "key")], "certificatefile": certificates, "identitiesonly": ["yes"]}
    shown = [
        key.public_blob and (key.public_blob.key_type, key.public_blob.comment)
        for key in _keys(SSHConfig(SSHAddress("host"), settings), None)
    ]
    assert len(shown) == 2
    assert shown[0] is not None
    assert "-cert-v01@" in shown[0][0]
    assert shown[1] is None
