# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The gate: a program with which an account that is not root leases and restores parameters of a host.

Role `access` installs it, with a rule of sudoers that lets one account run it as root, without arguments. It reads one
JSON request from standard input and writes one answer. It trusts nothing that it is given: with the account one can
tune within the gate's rules, and do nothing else.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import syslog
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from ansible_collections.autotune.kernel.plugins.module_utils import _facts, _gate_rules, _kernel, _sysctl
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure

LARGEST_REQUEST = 262_144  # bytes
MOST_VALUES = 500
LONGEST_LEASE = 86_400  # seconds
_TIMEOUT = 30  # seconds, to read the request or to write the answer

# The file in which a worker names its benchmark's process group. The account can name no other.
_PROCESS_GROUP = re.compile(r"/tmp/autotune\.[A-Za-z0-9]{10}/autotune-process-group")  # noqa: S108
# The watchdog inherits the caller's limits: with a second of CPU time it would not live to restore the originals.
_LEAST_LIMITS = {
    resource.RLIMIT_CPU: resource.RLIM_INFINITY,
    resource.RLIMIT_FSIZE: resource.RLIM_INFINITY,
    resource.RLIMIT_AS: resource.RLIM_INFINITY,
    resource.RLIMIT_DATA: resource.RLIM_INFINITY,
    resource.RLIMIT_STACK: 8 << 20,
    resource.RLIMIT_NOFILE: 256,
}
# The arguments of the module sysctl that an account may give, and their checks.
_ARGUMENTS: dict[str, Callable[[Any], bool]] = {
    "values": lambda given: isinstance(given, dict) and _is_values(given),
    "lease": lambda given: isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= LONGEST_LEASE,
    "holder": lambda given: (
        isinstance(given, str) and given.isprintable() and given.strip() != "" and len(given) <= 200
    ),
    "nonce": lambda given: isinstance(given, str) and re.fullmatch("[0-9a-f]{1,64}", given) is not None,
    "process_group": lambda given: isinstance(given, str),
    "check": lambda given: isinstance(given, bool),
}
_INFO = {"parameters": lambda given: given is None or (isinstance(given, list) and len(given) <= MOST_VALUES)}


def main() -> NoReturn:
    """One request, one answer. The exit code is 0 if there is an answer, even a refusal."""
    account = shed_environment()
    syslog.openlog("autotune-sysctl", syslog.LOG_PID, syslog.LOG_AUTH)
    request: dict[str, Any] = {}
    try:
        if len(sys.argv) > 1:
            raise Failure("The gate takes no arguments: it reads a request from standard input.")
        raise_limits()
        request = read_request(sys.stdin.buffer)
        answer = handle(request, account)
    except Failure as failure:
        answer = {"failed": True, "msg": str(failure), **failure.as_result()}
    except Exception as error:  # the caller and the log get a regular answer
        answer = {"failed": True, "msg": f"{sys.argv[0]} failed: {type(error).__name__}: {error}"}
    syslog.syslog(syslog.LOG_NOTICE, log_line(account, request, answer))
    signal.alarm(_TIMEOUT)  # the caller may not read it
    sys.stdout.buffer.write(json.dumps({**answer, "protocol": _gate_rules.PROTOCOL}).encode() + b"\n")
    sys.stdout.buffer.flush()
    raise SystemExit(0)


def shed_environment() -> str:
    """Drop what the caller could have arranged for this process; returns the account that called sudo."""
    account = os.environ.get("SUDO_USER", "root")
    os.environ.clear()
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    os.umask(0o022)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for key in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):  # it must not be stopped while it holds the lock
        signal.signal(key, signal.SIG_IGN)
    return account


def raise_limits() -> None:
    """Lift the limits that would keep the watchdog from working; raises Failure if they cannot be lifted."""
    for limit, least in _LEAST_LIMITS.items():
        soft, hard = resource.getrlimit(limit)
        if soft == resource.RLIM_INFINITY or 0 <= least <= soft:
            continue
        enough = hard == resource.RLIM_INFINITY or 0 <= least <= hard
        try:
            resource.setrlimit(limit, (least, hard if enough else least))
        except (OSError, ValueError):
            raise Failure(
                "The resource limits of this session (ulimit) are too low for the watchdog: raise them."
            ) from None


def read_request(stream: BinaryIO) -> dict[str, Any]:
    """The request; raises Failure if it is malformed."""
    signal.alarm(_TIMEOUT)
    text = stream.read(LARGEST_REQUEST + 1)
    signal.alarm(0)
    if len(text) > LARGEST_REQUEST:
        raise Failure(f"The request is longer than {LARGEST_REQUEST} bytes.")
    try:
        request = json.loads(text.decode("ascii"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Failure(f"The request is not JSON in ASCII: {str(error)[:200]}.") from None
    if not isinstance(request, dict):
        raise Failure("The request is not a JSON object.")
    return request


def handle(request: dict[str, Any], account: str) -> dict[str, Any]:
    """The result of the module sysctl, or sysctl_info; raises Failure for what the account may not do."""
    state = request.get("state")
    rules = _gate_rules.read()
    if state == "info":
        _validate(request, _INFO)
        return _info(request.get("parameters"), rules)
    if state not in ("leased", "restored"):
        raise Failure("Without root only state=leased and state=restored are permitted: use become for anything else.")
    if request.get("persist") is not None:
        raise Failure("persist requires root, as it writes a file: use become.")
    _validate(request, _ARGUMENTS)
    given = {name: value for name, value in request.items() if value is not None}
    names = ("holder", "values", "nonce", "process_group", "persist")
    params: dict[str, Any] = dict.fromkeys(names) | {"lease": 120, "check": False} | given
    if "holder" in given:
        # Only the account itself can renew or end its leases, and others see whose they are.
        params["holder"] = f"{given['holder']} ({account})"
    elif (account, state) != ("root", "restored"):  # root may end any lease of the gate
        raise Failure("holder is required.")
    if not _PROCESS_GROUP.fullmatch(params["process_group"] or ""):
        params["process_group"] = None
    if state == "leased":
        rules.check(_sysctl.canonical(params["values"] or {}, {}))
    params["allow_unsafe"] = sorted(rules.allow_unsafe)
    return _sysctl.call(params, params["check"])


def log_line(account: str, request: dict[str, Any], answer: dict[str, Any]) -> str:
    """One line for the system log: who requested what, and the outcome."""
    requested = {name: request[name] for name in ("state", "holder", "check", "values", "lease") if name in request}
    outcome = f"refused: {answer['msg']}" if answer.get("failed") else f"changed: {answer.get('changed', False)}"
    line = f"{account} requested {json.dumps(requested)[:2000]}; {outcome}"
    return "".join(letter if " " <= letter <= "~" else "?" for letter in line)[:4000]


def _is_values(given: dict[str, Any]) -> bool:
    return len(given) <= MOST_VALUES and all(map(_is_value, given.values()))


def _is_value(given: Any) -> bool:
    elements = given if isinstance(given, list) else [given]
    return len(elements) <= 100 and all(isinstance(element, (str, int, float)) for element in elements)


def _validate(request: dict[str, Any], known: dict[str, Callable[[Any], bool]]) -> None:
    for name, given in request.items():
        if name == "state" or (given is None and name in known):
            continue
        if name not in known:
            raise Failure(f"{name[:40]!r} is not an argument that the gate accepts.")
        if not known[name](given):
            raise Failure(f"{name}: {json.dumps(given)[:80]} is not acceptable.")


def _info(parameters: list[Any] | None, rules: _gate_rules.Rules) -> dict[str, Any]:
    try:
        found = _facts.facts(None if parameters is None else [str(parameter) for parameter in parameters])
    except ValueError as error:
        raise Failure(str(error)) from None
    refusals = []
    for parameter, state in found["parameters"].items():
        refusal = rules.refusal(_kernel.canonical_name(parameter))
        state["denied"] = refusal is not None
        if refusal:
            refusals.append(refusal)
            if state["exists"] and not _kernel.is_world_readable(parameter):
                state["value"] = state["original"] = None  # only root may see it
    if refusals and parameters is not None:
        found["gate_message"] = f"{'; '.join(refusals)}. {_gate_rules.hint()}"
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)
