# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The gate: a program by which an account that is not root lends parameters to a host and gives them back.

Role `access` puts it on a host, with one line in sudoers that lets one account run it, as root and without arguments.
It reads one request, JSON, from standard input, and writes one answer. It believes nothing of what it is given: whoever
has the account can tune with it, within its rules, and do nothing else.
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

from ansible_collections.autotune.kernel.plugins.module_utils import _call, _facts, _gate_rules, _kernel
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure

LARGEST_REQUEST = 262_144  # bytes
MOST_VALUES = 500
LONGEST_LEASE = 86_400  # seconds; a longer one would be as good as forever
_PATIENCE = 30  # seconds for the request to come

# Where a worker has its benchmark's process group; the account can name no other file.
_PROCESS_GROUP = re.compile(r"/tmp/autotune\.[A-Za-z0-9]{10}/autotune-process-group")  # noqa: S108
# The watchdog inherits the caller's limits, and with a second of CPU or three files would not live to put values back.
_LEAST = {
    resource.RLIMIT_CPU: resource.RLIM_INFINITY,
    resource.RLIMIT_FSIZE: resource.RLIM_INFINITY,
    resource.RLIMIT_AS: resource.RLIM_INFINITY,
    resource.RLIMIT_DATA: resource.RLIM_INFINITY,
    resource.RLIMIT_STACK: 8 << 20,
    resource.RLIMIT_NOFILE: 256,
}
# Of the arguments of the module sysctl those that an account may give, and what each must be.
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
    """The program: one request, one answer. The exit code is 0 if there is an answer, be it a refusal."""
    account = be_on_your_own()
    syslog.openlog("autotune-sysctl", syslog.LOG_PID, syslog.LOG_AUTH)
    request: dict[str, Any] = {}
    try:
        if len(sys.argv) > 1:
            raise Failure("This program takes no arguments: it reads a request from standard input.")
        lift_limits()
        request = received(sys.stdin.buffer)
        answer = answer_to(request, account)
    except Failure as failure:
        answer = {"failed": True, "msg": str(failure), **failure.as_result()}
    except Exception as error:  # so that whoever asks, and the log, hear of it in the usual way
        answer = {"failed": True, "msg": f"{sys.argv[0]} failed: {type(error).__name__}: {error}"}
    syslog.syslog(syslog.LOG_NOTICE, record(account, request, answer))
    signal.alarm(_PATIENCE)  # whoever asked need not listen
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()
    raise SystemExit(0)


def be_on_your_own() -> str:
    """Drop what the caller could have arranged for this process; returns who that is, as sudo has it."""
    account = os.environ.get("SUDO_USER", "root")
    os.environ.clear()
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    os.umask(0o022)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for key in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):  # the caller's terminal must not stop it with the lock
        signal.signal(key, signal.SIG_IGN)
    return account


def lift_limits() -> None:
    """Have what the watchdog needs to live; raises Failure where the caller's limits cannot be lifted."""
    for limit, least in _LEAST.items():
        soft, hard = resource.getrlimit(limit)
        if soft == resource.RLIM_INFINITY or 0 <= least <= soft:
            continue
        enough = hard == resource.RLIM_INFINITY or 0 <= least <= hard
        try:
            resource.setrlimit(limit, (least, hard if enough else least))
        except (OSError, ValueError):
            raise Failure("The limits of this session (ulimit) are too low for values to be put back later.") from None


def received(stream: BinaryIO) -> dict[str, Any]:
    """The request; raises Failure with one line for what is none."""
    signal.alarm(_PATIENCE)
    text = stream.read(LARGEST_REQUEST + 1)
    signal.alarm(0)
    if len(text) > LARGEST_REQUEST:
        raise Failure(f"The request is longer than {LARGEST_REQUEST} bytes.")
    try:
        request = json.loads(text.decode("ascii"), parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Failure(f"The request is not JSON in ASCII: {str(error)[:200]}.") from None
    if not isinstance(request, dict):
        raise Failure("The request is not a JSON object.")
    return request


def answer_to(request: dict[str, Any], account: str) -> dict[str, Any]:
    """What the module sysctl, or sysctl_info, returns; raises Failure for what the account may not ask."""
    state = request.get("state")
    rules = _gate_rules.read()
    if state == "info":
        _validate(request, _INFO)
        return _info(request.get("parameters"), rules)
    if state not in ("leased", "restored"):
        raise Failure("Without root values can only be lent: state=leased, restored. For any other use become.")
    if request.get("persist") is not None:
        raise Failure("Without root no file can be written (persist): use become for that.")
    _validate(request, _ARGUMENTS)
    given = {name: value for name, value in request.items() if value is not None}
    names = ("holder", "values", "nonce", "process_group", "persist")
    params: dict[str, Any] = dict.fromkeys(names) | {"lease": 120, "check": False} | given
    if "holder" in given:
        # Nobody but the account itself can renew or end its leases, and others see whose they are.
        params["holder"] = f"{given['holder']} ({account})"
    elif (account, state) != ("root", "restored"):  # root ends any lease of the gate's
        raise Failure("holder: say who you are.")
    if not _PROCESS_GROUP.fullmatch(params["process_group"] or ""):
        params["process_group"] = None
    if state == "leased":
        rules.check(_call.canonical(params["values"] or {}, {}))
    params["allow_unsafe"] = sorted(rules.allow_unsafe)
    return _call.answer(params, params["check"])


def record(account: str, request: dict[str, Any], answer: dict[str, Any]) -> str:
    """One line for the system's log: who asked for what, and what became of it."""
    asked = {name: request[name] for name in ("state", "holder", "check", "values", "lease") if name in request}
    said = f"refused: {answer['msg']}" if answer.get("failed") else f"changed: {answer.get('changed', False)}"
    line = f"{account} asked {json.dumps(asked)[:2000]}; {said}"
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
            raise Failure(f"{name[:40]!r} is not an argument that can be given without root.")
        if not known[name](given):
            raise Failure(f"{name}: {json.dumps(given)[:80]} is not what can be given here.")


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
                state["value"] = None  # for root's eyes
    if refusals and parameters is not None:
        found["gate_said"] = f"{'; '.join(refusals)}. {_gate_rules.hint()}"
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)
