# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One call of the module sysctl, from its arguments to its result, whoever makes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel, _lease, _persist, _value
from ansible_collections.autotune.kernel.plugins.module_utils._transaction import Failure

_LONGEST_LEASE = 1_000_000_000  # seconds, 31 years; what is much longer is no time that a clock could show


def answer(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """The result of a call with these arguments, as Ansible wants it: with `failed` and `msg` where nothing was set."""
    spelling: dict[str, str] = {}
    try:
        report = run(params, check, spelling)
    except Failure as failure:
        result = failure.as_result()
        result["parameters"] = spelt(result["parameters"], spelling)
        return {"failed": True, "msg": str(failure), **result}
    except OSError as error:
        return {"failed": True, "msg": f"{error.filename or 'a file of the module'}: {error.strerror}"}
    return {**result_of(report, spelling), "warnings": report.warnings}


def run(params: dict[str, Any], check: bool, spelling: dict[str, str]) -> _lease.Report:
    """Do what the arguments ask for; fills `spelling` with the user's own spelling of each parameter."""
    state, holder, persist, nonce = params["state"], params["holder"], params["persist"], params["nonce"]
    if holder is not None and not (holder.strip() and holder.isprintable()):
        raise Failure(f"holder: {holder!r} is not a name that could be shown to others.")
    if state == "restored":
        if params["values"]:
            raise Failure("state=restored takes no values: it puts back those the host had.")
        return _lease.give_back(holder, check, nonce) if persist is None else _persist.roll_back(persist, holder, check)
    if state == "leased" and persist is not None:
        raise Failure("persist goes with state=present: what is on loan is not kept.")
    if not 1 <= params["lease"] <= _LONGEST_LEASE:
        raise Failure(f"lease: {str(params['lease'])[:20]} is not a time: give 1 to {_LONGEST_LEASE} seconds.")
    values = canonical(params["values"], spelling)
    allow_unsafe = canonical(dict.fromkeys(params["allow_unsafe"], ""), {})
    if state == "leased":
        return _lease.lend(values, holder, params["lease"], allow_unsafe, check, nonce, params["process_group"])
    return _persist.keep(values, holder, persist, allow_unsafe, check, nonce)


def canonical(values: dict[str, Any], spelling: dict[str, str]) -> dict[str, str]:
    """The values under their parameters' one name; raises Failure with every name and value that cannot be one."""
    texts: dict[str, str] = {}
    faults = []
    for parameter, value in values.items():
        try:
            name, text = _kernel.canonical_name(parameter), _value.text_of(parameter, value)
        except ValueError as error:
            faults.append(str(error))
            continue
        if name in texts:
            faults.append(f"{parameter} is the same parameter as {spelling[name]}")
        texts[name], spelling[name] = text, parameter
    if faults:
        raise Failure("Nothing was written: " + "; ".join(faults) + ".")
    return texts


def spelt(by_parameter: dict[str, Any], spelling: dict[str, str]) -> dict[str, Any]:
    return {spelling.get(parameter, parameter): value for parameter, value in by_parameter.items()}


def result_of(report: _lease.Report, spelling: dict[str, str]) -> dict[str, Any]:
    changes = spelt(report.changes, spelling)
    before = {parameter: change.before for parameter, change in changes.items()}
    after = {parameter: change.after for parameter, change in changes.items()}
    changed_keys = [parameter for parameter in changes if before[parameter] != after[parameter]]
    result = {
        "changed": bool(changed_keys) or (report.file is not None and report.file[1] != report.file[2]),
        "before": before,
        "after": after,
        "changed_keys": changed_keys,
        "parameters": {parameter: asdict(change) for parameter, change in changes.items()},
        "diff": diff_of(before, after, report.file),
        "verdict": report.verdict,
    }
    if report.lease:
        result.update(lease=report.lease, originals=spelt(report.originals, spelling))
    return result


def diff_of(before: dict[str, str], after: dict[str, str], file: tuple[str, str, str] | None) -> list[dict[str, str]]:
    diff = [{"before": lines(before), "after": lines(after), "before_header": "kernel", "after_header": "kernel"}]
    if file:
        path, found, wanted = file
        diff.append({"before": found, "after": wanted, "before_header": path, "after_header": path})
    return diff


def lines(values: dict[str, str]) -> str:
    return "".join(f"{parameter} = {value}\n" for parameter, value in values.items())
