# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How the modules call the gate, the program of role `access` that does for an account what requires root."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.autotune.kernel.plugins.module_utils import _facts, _trust
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

GATE = "/usr/local/libexec/autotune-sysctl"
_TIMEOUT = 120.0  # seconds; longer than the gate waits for another call


def is_needed() -> bool:
    """Whether this process must use the gate: it is not root, and there is one."""
    return os.geteuid() != 0 and os.path.exists(GATE)


def call(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """The result of the module sysctl for these arguments, from the gate."""
    # allow_unsafe is not up to the caller here: root has set it in a file.
    given = {name: value for name, value in params.items() if value is not None and name != "allow_unsafe"}
    try:
        return request({**given, "check": check})
    except Failure as failure:
        return {"failed": True, "msg": str(failure), **failure.as_result()}


def facts(parameters: list[str] | None) -> dict[str, Any]:
    """The result of sysctl_info from the gate, or as this account sees it, with the gate's refusal."""
    try:
        answer = request({"state": "info", "parameters": parameters})
    except Failure as failure:
        return {**_facts.facts(parameters), "gate_message": str(failure)}
    if answer.get("failed"):
        raise Failure(answer["msg"])
    return {**answer, "gate": GATE, "effective_uid": os.geteuid()}


def end_lease() -> dict[str, Any]:
    """Called by root: have the gate end its lease, whoever holds it; raises Failure if it cannot."""
    try:
        os.close(_trust.open_file(GATE))
    except OSError as error:
        raise Failure(
            f"The lease of the network account can only be ended by {GATE}, which cannot be run ({error.strerror}): "
            "apply role autotune.kernel.access."
        ) from None
    # Of whatever release the gate is: the lease has to end.
    answer = request({"state": "restored"}, [GATE], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, any_release=True)
    if answer.get("failed"):
        raise Failure(answer["msg"])
    return answer


def request(
    content: dict[str, Any],
    command: Sequence[str] = ("sudo", "-n", "--", GATE),
    environment: Optional[Mapping[str, str]] = None,
    any_release: bool = False,
) -> dict[str, Any]:
    """The gate's answer; raises Failure with one line if there is none."""
    # Here because its rules need the catalogue, which takes an eighth of the time of a call that has no use for it.
    from ansible_collections.autotune.kernel.plugins.module_utils import _gate_rules

    try:
        done = subprocess.run(
            command,
            input=json.dumps(content).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise Failure(f"sudo, which runs {GATE}, is not installed: install it, or use become.") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{GATE} did not answer within {_TIMEOUT:g} seconds.") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise Failure(
            f"{_account()} is not root and cannot use {GATE} ({reason}): "
            "use become, or apply role autotune.kernel.access for this user"
        )
    if answer.pop("protocol", None) != _gate_rules.PROTOCOL and not any_release:
        raise Failure(
            f"{GATE} is of another release of the collection: apply role autotune.kernel.access of this one again."
        )
    return answer


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container, or while the account database cannot be reached
        return f"user id {os.geteuid()}"
