# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a host cannot be reached, as a finding. Host keys, log-ins and ports are planted in the integration test."""

from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._doctor import connection_findings
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.known_hosts import KnownHost, KnownKey
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.module_call import BecomeFailed, ModuleFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh import UntrustedHostKey
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.ssh_config import SSHAddress, SSHConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.transport import ConnectionLost

CONFIG = SSHConfig(SSHAddress("web1"), {"hostname": ["192.0.2.7"], "port": ["2222"], "user": ["tuner"]})


def lost(cause: Exception) -> ConnectionLost:
    error = ConnectionLost(f"SSH to web1: {cause}")
    error.__cause__ = cause
    return error


def test_a_timeout_is_followed_by_hand() -> None:
    found = connection_findings.lost("web1", lost(TimeoutError("timed out")), CONFIG)
    assert found.remedy == "find where it fails: ssh -v -p 2222 tuner@192.0.2.7 true"


@pytest.mark.parametrize(
    ("keys", "remedy"),
    [
        ((), "ssh-keyscan -p 2222 -t ed25519 192.0.2.7 >> "),
        ((KnownKey("ssh-rsa", b"1"),), "ssh-keyscan -p 2222 -t ed25519 192.0.2.7 >> "),
        ((KnownKey("ssh-ed25519", b"1"),), "if the host was reinstalled: ssh-keygen -R '[192.0.2.7]:2222' -f "),
    ],
)
def test_a_key_is_added_only_after_a_look_and_replaced_only_after_a_reason(
    keys: tuple[KnownKey, ...], remedy: str
) -> None:
    rejected = UntrustedHostKey("not trusted", KnownHost("[192.0.2.7]:2222", keys, "yes"), "ssh-ed25519")
    assert connection_findings.lost("web1", lost(rejected), CONFIG).remedy.startswith(remedy)


def test_without_any_python_one_is_to_be_installed() -> None:
    found = connection_findings.python("web1", "auto", None, None)
    assert found.what == "no Python 3.9 or later was found"
    assert "apt-get install python3" in found.remedy


def test_a_module_that_fails_says_why() -> None:
    assert connection_findings.module_failed("web1", ModuleFailed("the journal is damaged"), "ansible web1").what == (
        "the journal is damaged"
    )
    found = connection_findings.module_failed("web1", BecomeFailed("Incorrect sudo password", "sudo"), "ansible web1")
    assert found.what == "become does not work (Incorrect sudo password)"
