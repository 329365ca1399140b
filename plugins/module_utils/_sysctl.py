# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The module sysctl without Ansible: from its arguments to its result. The gate calls it as well."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible_collections.autotune.kernel.plugins.module_utils import _kernel, _lease, _persist, _value
from ansible_collections.autotune.kernel.plugins.module_utils._change import Failure, Report

_LONGEST_LEASE = 1_000_000_000  # seconds, or 31 years; clocks cannot represent much more


def call(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """The module's result, with `failed` and `msg` if nothing was set."""
    spelling: dict[str, str] = {}
    try:
        report = _run(params, check, spelling)
    except Failure as failure:
        result = failure.as_result()
        result["parameters"] = _spelled(result["parameters"], spelling)
        return {"failed": True, "msg": str(failure), **result}
    except OSError as error:
        return {"failed": True, "msg": f"{error.filename or 'a file of the module'}: {error.strerror}"}
    return {**_result_of(report, spelling), "warnings": report.warnings}


def canonical(values: dict[str, Any], spelling: dict[str, str]) -> dict[str, str]:
    """The values by canonical name; raises Failure naming every malformed name and value.

    Fills `spelling` with the user's spelling of each name.
    """
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


def _run(params: dict[str, Any], check: bool, spelling: dict[str, str]) -> Report:
    state, holder, persist, nonce = params["state"], params["holder"], params["persist"], params["nonce"]
    if holder is not None and not (holder.strip() and holder.isprintable()):
        raise Failure(f"holder: {holder!r} is not a printable name.")
    if state == "restored":
        if params["values"]:
            raise Failure("state=restored takes no values: it restores the originals.")
        if persist is None:
            return _lease.release(holder, check, nonce)
        return _persist.roll_back(persist, holder, check, nonce)
    if state == "leased" and persist is not None:
        raise Failure("persist requires state=present: leased values are temporary.")
    if not 1 <= params["lease"] <= _LONGEST_LEASE:
        raise Failure(f"lease: {str(params['lease'])[:20]} must be 1 to {_LONGEST_LEASE} seconds.")
    values = canonical(params["values"], spelling)
    allow_unsafe = canonical(dict.fromkeys(params["allow_unsafe"], ""), {})
    if state == "leased":
        return _lease.acquire(values, holder, params["lease"], allow_unsafe, check, nonce, params["process_group"])
    return _persist.apply(values, holder, persist, allow_unsafe, check, nonce)


def _result_of(report: Report, spelling: dict[str, str]) -> dict[str, Any]:
    changes = _spelled(report.changes, spelling)
    before = {parameter: change.before for parameter, change in changes.items()}
    applied = {parameter: change.applied for parameter, change in changes.items()}
    changed_keys = [parameter for parameter in changes if before[parameter] != applied[parameter]]
    diff = [{"before": _lines(before), "after": _lines(applied), "before_header": "kernel", "after_header": "kernel"}]
    if report.file:
        path, former, new = report.file
        diff.append({"before": former, "after": new, "before_header": path, "after_header": path})
    result = {
        "changed": any(part["before"] != part["after"] for part in diff),
        "before": before,
        "applied": applied,
        "changed_keys": changed_keys,
        "parameters": {parameter: asdict(change) for parameter, change in changes.items()},
        "diff": diff,
        "verdict": report.verdict,
    }
    if report.lease:
        result.update(lease=report.lease, originals=_spelled(report.originals, spelling))
    return result


def _spelled(by_parameter: dict[str, Any], spelling: dict[str, str]) -> dict[str, Any]:
    return {spelling.get(parameter, parameter): value for parameter, value in by_parameter.items()}


def _lines(values: dict[str, str]) -> str:
    return "".join(f"{parameter} = {value}\n" for parameter, value in values.items())
