# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The modules' way to the gate, the program of role `access` that does for an account what takes root."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.autotune.kernel.plugins.module_utils import _facts, _trust
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure

GATE = "/usr/local/libexec/autotune-sysctl"
_PATIENCE = 120.0  # seconds; longer than the gate waits for another call


def is_needed() -> bool:
    """Whether this process has to ask the gate: it is not root, and there is one."""
    return os.geteuid() != 0 and os.path.exists(GATE)


def call(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """The result of a call of the module sysctl with these arguments, as Ansible wants it."""
    # allow_unsafe is not for the caller to say here, but for root, in a file.
    given = {name: value for name, value in params.items() if value is not None and name != "allow_unsafe"}
    try:
        return ask({**given, "check": check})
    except Failure as failure:
        return {"failed": True, "msg": str(failure), **failure.as_result()}


def facts(parameters: list[str] | None) -> dict[str, Any]:
    """What sysctl_info tells of the host: as the gate sees it, else as this user does, with what the gate said."""
    try:
        answer = ask({"state": "info", "parameters": parameters})
    except Failure as failure:
        return {**_facts.facts(parameters), "gate_said": str(failure)}
    if answer.get("failed"):
        raise Failure(answer["msg"])
    return {**answer, "gate": GATE, "effective_uid": os.geteuid()}


def end_lease() -> dict[str, Any]:
    """Have the gate end whatever lease it has, for root, who asks for it directly; raises Failure if it cannot."""
    try:
        os.close(_trust.open_file(GATE))
    except OSError as error:
        raise Failure(
            f"{GATE}, which could end the lease of its account, cannot be run ({error.strerror}): "
            "apply role autotune.kernel.access."
        ) from None
    answer = ask({"state": "restored"}, [GATE], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    if answer.get("failed"):
        raise Failure(answer["msg"])
    return answer


def ask(
    request: dict[str, Any],
    command: Sequence[str] = ("sudo", "-n", "--", GATE),
    environment: Optional[Mapping[str, str]] = None,
) -> dict[str, Any]:
    """The gate's answer; raises Failure with one line if there is none."""
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_PATIENCE,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise Failure(f"{GATE} is here, but no sudo to run it: use become, or install sudo.") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{GATE} gave no answer within {_PATIENCE:g} seconds.") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise Failure(
            f"{_account()} is not root and cannot use {GATE} ({reason}): "
            "use become, or apply role autotune.kernel.access for this user"
        )
    return answer


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in a container, or while the directory of accounts is out of reach
        return f"user id {os.geteuid()}"
