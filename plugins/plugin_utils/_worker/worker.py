# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The action `evaluate`: one host in a study, from reading the study file to restoring the original values."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Machine

from .._logs import DEBUG_LOG, LogFailed, debug_log
from .._plain import brief, plain, plain_line
from .._store import url
from .._study.file import StudyError, StudyFile, read_study
from .._study.host_facts import HostFacts
from .._wire import Disconnected, Line
from .batch import Batch, join_batch
from .benchmark import BenchmarkFailed
from .check import check_benchmark
from .compare import compare, problem_with
from .dry_run import dry_run, try_guard_benchmarks
from .host_session import HostSession, SessionFailed
from .interrupt import Interrupts, RunInterrupted
from .preflight import misspelt_setting, too_few_forks
from .progress import last_line
from .trainer_process import StudyFinished, TrainerFailed, connect_or_start, result_of, why_trainer_ended
from .transport import CommandTimeout, ConnectionLost
from .trial_runner import ApplyFailed, HostContext, HostRefused, run_trials

_RESUME = "; to resume: the same command with -e resume=true"
_STUDY_FINISHED = "the study has finished"


def run_worker(
    action: ActionBase, arguments: dict[str, Any], task_vars: Mapping[str, Any], display: Display
) -> dict[str, Any]:
    """Take one host through the study; returns the action's result.

    Raises SessionFailed, or AnsibleConnectionFailure if the host was lost.
    """
    is_playbook_tune = "/playbooks/tune.yml:" in (action._task.get_path() or "")
    if is_playbook_tune and (problem := misspelt_setting(load_extra_vars(action._loader), arguments)):
        raise SessionFailed(problem)
    try:
        study = read_study(Path(arguments["study"]), Path.cwd(), _host_facts(task_vars), run_on=arguments["run_on"])
    except StudyError as error:
        raise SessionFailed(str(error)) from None
    host, present = str(task_vars["inventory_hostname"]), [str(name) for name in task_vars["ansible_play_batch"]]
    log = Path(arguments["output"]).absolute() / study.study.workload_name / DEBUG_LOG if arguments["debug"] else None

    def begin() -> None:
        if log and not _study_to_resume(arguments["resume"]):  # a resumed study continues its log
            with suppress(OSError):  # if it cannot be deleted, it cannot be opened either
                log.unlink()

    batch = join_batch(_task_folder(action), host, present, begin)
    try:
        with debug_log(log, "worker", host):
            return _join_study(batch, action, arguments, task_vars, display, study)
    except LogFailed as failure:
        raise SessionFailed(str(failure)) from None


def _join_study(
    batch: Batch,
    action: ActionBase,
    arguments: dict[str, Any],
    task_vars: Mapping[str, Any],
    display: Display,
    study: StudyFile,
) -> dict[str, Any]:
    if arguments["agent"] and _study_to_resume(arguments["resume"]):
        raise SessionFailed("an agent cannot resume a study; leave out agent or resume")
    session = HostSession(action, arguments, task_vars, display, study)
    interrupts = Interrupts()
    for notice in study.notices if batch.first else ():
        session.show(f"note: {notice}")
    output = Path(arguments["output"]) / study.study.workload_name
    if action._task.check_mode or arguments["check"] or arguments["compare"]:
        is_dry = action._task.check_mode
        if problem := problem_with(arguments["compare"], arguments["rounds"], study.study.space.parameters):
            raise SessionFailed(problem)
        found = _without_trainer(session, interrupts, arguments, is_dry=is_dry, hosts=len(batch.hosts))
        return {"changed": False, "verdict": "none", "path": str(output), **found}
    if batch.first:
        _announce(session, study, len(batch.hosts), arguments)
    log = output.absolute() / "trainer.log"
    try:
        line = connect_or_start(batch.folder, log, _trainer_config(study, batch.hosts, output.absolute(), arguments))
    except TrainerFailed as error:
        raise SessionFailed(str(error)) from None
    if isinstance(line, StudyFinished):
        session.show(f"{session.host} joined after the study had finished; raise --forks")
        result = line.result
    else:
        result = _take_part(session, line, interrupts, batch.folder, log)
        if result["verdict"] == "failed":
            hint = _RESUME if result["trials"].get("train") else ""
            raise SessionFailed(f"the study failed: {result['reason']}{hint}")
        if batch.first and result["verdict"] != "stopped":
            session.show(last_line(result))
    return {"changed": False, "verdict": result["verdict"], "path": str(output)}


@dataclass
class _Departure:
    """Why the worker leaves the study. interrupted: by Ctrl-C. lost: the host is unreachable."""

    reason: str = "it failed"
    interrupted: bool = False
    lost: bool = False
    hint: str = ""


def _take_part(session: HostSession, line: Line, interrupts: Interrupts, folder: Path, log: Path) -> dict[str, Any]:
    departure, result = _Departure(), None
    try:
        line.send("hello", host=session.host)
        with interrupts.allowed():
            facts, host_context = session.prepare()
            _show_background_load(session, host_context)
            guard_seconds = try_guard_benchmarks(host_context, session.show)
        line.send("ready", host=session.host, facts=facts, guard_seconds=guard_seconds)
        departure.hint = _RESUME
        result = run_trials(host_context, line, interrupts, session.show)
        departure.reason = _STUDY_FINISHED
    except RunInterrupted as interruption:
        departure.reason, departure.interrupted = str(interruption), True
    except Disconnected:
        # A worker that was busy when the study finished, preparing its host for example, gets no message `end`.
        result = result_of(folder)
        departure.reason = why_trainer_ended(folder, log) if result is None else _STUDY_FINISHED
    except (HostRefused, SessionFailed) as failure:
        departure.reason, departure.hint = str(failure), ""
    except BenchmarkFailed as failure:  # that of a guard; the study's own fails a trial
        departure.reason, departure.hint = f"{session.host}: {failure}; no kernel parameter was changed", ""
    except (ConnectionLost, AnsibleConnectionFailure) as loss:
        departure.reason, departure.lost = f"lost: {loss}", True
    except (CommandTimeout, OSError) as failure:
        departure.reason = f"{session.host}: {failure}"
    finally:
        # First of all, so that another host takes over the trial while this one is being cleaned up.
        _send(line, "farewell", reason=departure.reason, stopped=departure.interrupted)
        ending, reached = _leave(session, line, departure.interrupted)
    reason, hint = departure.reason, departure.hint
    if departure.lost or not reached:
        raise AnsibleConnectionFailure(plain(f"{reason}; {ending}"))
    if departure.interrupted:
        _print_after_interrupt(session, f"{reason}; {ending}{hint}")
    if result is None:
        raise SessionFailed(f"{reason}; {session.host}: {ending}{hint}")
    return result


def _send(line: Line, kind: str, **content: Any) -> None:
    """Send a message unless the trainer is gone."""
    with suppress(Disconnected):
        line.send(kind, **content)


def _leave(session: HostSession, line: Line, interrupted: bool) -> tuple[str, bool]:
    """Clean up and report to the trainer; returns one clause on the host's values, and whether it was reachable.

    Raises SessionFailed if the original values could not be restored.
    """
    ending, restored, reached = "the state of the host's values is unknown", False, True
    try:
        ending, restored = session.leave(), True
    except AnsibleConnectionFailure as error:
        expiry = f"will restore its original values within {session.lease} s (lease expiry)"
        session.show(f"{session.host} is unreachable ({error}); it {expiry}")
        ending, reached = f"if it stays unreachable, the host {expiry}", False
    except SessionFailed as failure:
        ending = str(failure)
        if interrupted:
            _print_after_interrupt(session, ending)
        raise
    finally:
        _send(line, "left", ending=ending, restored=restored)
        line.close()
    return ending, reached


def _print_after_interrupt(session: HostSession, text: str) -> None:
    """Write to ansible-playbook's standard error: after Ctrl-C Ansible no longer shows what workers print."""
    if session.playbook_stderr:
        with suppress(OSError):  # the terminal has been closed
            print(plain_line(f"[autotune] {session.host}: {text}"), file=session.playbook_stderr, flush=True)


def _without_trainer(
    session: HostSession, interrupts: Interrupts, arguments: Mapping[str, Any], *, is_dry: bool, hosts: int
) -> dict[str, Any]:
    """A dry run, the check of the benchmark, or a comparison; what it adds to the action's result."""
    try:
        with interrupts.allowed():
            facts, host_context = session.prepare(arguments["compare"])
            if is_dry:
                dry_run(host_context, facts, run_benchmark=arguments["dry_run"], show=session.show, hosts=hosts)
                return {}
        if sets := arguments["compare"]:
            _show_background_load(session, host_context)
            machine = Machine(facts["memory_bytes"], facts["cpus"])
            return {"measured": compare(host_context, machine, sets, arguments["rounds"], interrupts, session.show)}
        return check_benchmark(host_context, interrupts, session.show, hosts)
    except ConnectionLost as loss:
        raise AnsibleConnectionFailure(plain(loss)) from None
    except (ApplyFailed, BenchmarkFailed, RunInterrupted, OSError, CommandTimeout) as failure:
        raise SessionFailed(f"{session.host}: {failure}") from None
    finally:
        session.leave()


def _show_background_load(session: HostSession, context: HostContext) -> None:
    for disturbance in context.background_load:
        session.show(f"note: {disturbance}")


def _announce(session: HostSession, study_file: StudyFile, count: int, arguments: dict[str, Any]) -> None:
    study, parameters = study_file.study, len(study_file.study.action_space)
    store = url.shown(url.chosen(arguments["store"], arguments["output"]))
    session.show(
        f"study {study.workload_name}: {parameters} parameter{'s' if parameters > 1 else ''}, "
        f"{count} host{'s' if count > 1 else ''}, "
        f"{study.training_config.total_timesteps} training trials, then up to "
        f"{study.verification.most_pairs(count)} pairs to prove the winner; store {store}"
    )
    session.show("press Ctrl-C to stop the run and restore every host's original values")
    if few := too_few_forks(int(context.CLIARGS["forks"]), count):
        session.show(few)


def _host_facts(task_vars: Mapping[str, Any]) -> list[HostFacts]:
    """The hosts whose facts the play has gathered (playbooks/tune.yml); presets depend on all of them.

    Includes hosts that have failed since: a worker that starts later must read the same study.
    """
    gathered = {
        str(name): task_vars["hostvars"][name].get("autotune_host", {}) for name in task_vars["ansible_play_hosts_all"]
    }
    return [HostFacts.from_module(name, facts) for name, facts in gathered.items() if "parameters" in facts]


def _trainer_config(
    study_file: StudyFile, hosts: Sequence[str], output: Path, arguments: dict[str, Any]
) -> dict[str, Any]:
    study = study_file.study.model_dump(mode="json", exclude_none=True)
    # The environment may contain secrets, which the trainer does not need and the store must not contain.
    for workload in (study, *study["guard_benchmarks"]):
        workload["environment"] = dict.fromkeys(workload["environment"], "(not kept)")
    files = {name: path for path, name in study_file.files}
    for guard, copied in study_file.guard_files.items():
        files |= {f"{name} of guard benchmark {guard}": path for path, name in copied}
    return {
        "study": study,
        "hosts": list(hosts),
        "store": url.chosen(arguments["store"], arguments["output"]),
        "output": str(output),
        "seed": arguments["seed"],
        "playbook_pid": os.getppid(),
        "versions": {"ansible-core": ansible_version},
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()},
        "resume": _study_to_resume(arguments["resume"]),
        "debug": arguments["debug"],
        "agent": arguments["agent"],
        "parent_pid": arguments["parent_pid"],
    }


def _study_to_resume(resume: str) -> int | bool:
    """The ID of a study, True for the latest one that can be resumed, False for a new study."""
    text = resume.strip().lower()
    if text.isdecimal() and len(text) < 19 and int(text):  # an ID that every database can store
        return int(text)
    if text in ("true", "yes", "latest"):
        return True
    if text in ("false", "no", ""):
        return False
    raise SessionFailed(
        f"resume is {brief(repr(resume))}; use true for the latest interrupted study, or the ID of a study"
    )


def _task_folder(action: ActionBase) -> Path:
    """A private folder of this task, which ansible-playbook removes at its end."""
    task = hashlib.sha256(action._task._uuid.encode()).hexdigest()[:16]
    return Path(constants.DEFAULT_LOCAL_TMP) / f"autotune-{task}"
