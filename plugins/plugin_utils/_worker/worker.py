# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The action `evaluate`: a host's part in a study from the first look at the study file to the last value put back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display

from .._logs import DEBUG_LOG, LogFailed, debug_log
from .._plain import brief, plain, plain_line
from .._store.url import shown
from .._study.file import StudyError, StudyFile, read_study
from .._study.presets import KnownHost
from .._wire import Disconnected, Line
from .batch import Batch, join
from .benchmark import BenchmarkFailed
from .dry_run import dry_run
from .host_session import HostSession, SessionFailed
from .interrupt import Interrupted, Interrupts
from .trainer_process import StudyFinished, TrainerFailed, connect_or_start, result_left, why_it_ended
from .transport import Lost, TimedOut
from .trial_runner import ApplyFailed, HostRefused, run_trials

_GO_ON = "to go on later: the same command with -e resume=true"


def run_worker(
    action: ActionBase, arguments: dict[str, Any], task_vars: Mapping[str, Any], display: Display
) -> dict[str, Any]:
    """The whole part of one host; returns the action's result. Raises SessionFailed, or AnsibleConnectionFailure."""
    try:
        study = read_study(Path(arguments["study"]), Path.cwd(), _known_hosts(task_vars))
    except StudyError as error:
        raise SessionFailed(str(error)) from None
    host, present = str(task_vars["inventory_hostname"]), [str(name) for name in task_vars["ansible_play_batch"]]
    log = Path(arguments["output"]).absolute() / study.study.workload_name / DEBUG_LOG if arguments["debug"] else None

    def begin() -> None:
        if log and not _wanted(arguments["resume"]):  # a run that resumes a study continues its log
            with suppress(OSError):  # then it cannot be opened either
                log.unlink()

    batch = join(_folder(action), host, present, begin)
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
    session = HostSession(action, arguments, task_vars, display, study)
    interrupts = Interrupts()
    for notice in study.notices if batch.first else ():
        session.show(f"note: {notice}")
    if action._task.check_mode:
        return _dry_run(session, arguments, study, interrupts, len(batch.hosts))
    if batch.first:
        _announce(session, study, len(batch.hosts), arguments)
    shown = Path(arguments["output"]) / study.study.workload_name
    output = shown.absolute()
    log = output / "trainer.log"
    try:
        line = connect_or_start(batch.folder, log, _trainer_config(study, batch.hosts, output, arguments))
    except TrainerFailed as error:
        raise SessionFailed(str(error)) from None
    if isinstance(line, StudyFinished):
        session.show(f"{session.host} came when the study had ended: no evaluations (see --forks)")
        return {"changed": False, "verdict": line.result["verdict"], "path": str(shown)}
    result = _work_with_trainer(session, line, interrupts, batch.folder, log)
    if result["verdict"] == "failed":
        hint = f"; {_GO_ON}" if result["evaluations"].get("train") else ""
        raise SessionFailed(f"the study failed: {result['reason']}{hint}")
    return {"changed": False, "verdict": result["verdict"], "path": str(shown)}


def _work_with_trainer(
    session: HostSession, line: Line, interrupts: Interrupts, folder: Path, log: Path
) -> dict[str, Any]:
    farewell, stopped, lost, result = "it failed", False, False, None
    hint = ""
    try:
        line.send("hello", host=session.host)
        with interrupts.allowed():
            facts, context = session.prepare()
        line.send("ready", host=session.host, facts=facts)
        hint = f"; {_GO_ON}"
        result = run_trials(context, line, interrupts, session.show)
        farewell = "the study is over"
    except Interrupted as interruption:
        farewell, stopped = str(interruption), True
    except Disconnected:
        # Whoever was busy for long when the study ended, be it with its preparations, hears no `end`.
        result = result_left(folder)
        farewell = why_it_ended(folder, log) if result is None else "the study is over"
    except (HostRefused, SessionFailed) as failure:
        farewell, hint = str(failure), ""
    except (Lost, AnsibleConnectionFailure) as loss:
        farewell, lost = f"lost: {loss}", True
    except (TimedOut, OSError) as failure:
        farewell = f"{session.host}: {failure}"
    finally:
        # First of all, so that the job goes to another host while this one is being cleaned up.
        _say(line, "farewell", reason=farewell, stopped=stopped)
        ending, reached = _leave(session, line, stopped)
    if lost or not reached:
        raise AnsibleConnectionFailure(plain(f"{farewell}; {ending}"))
    if stopped:
        _last_word(session, f"{farewell}; {ending}{hint}")
    if result is None:
        raise SessionFailed(f"{farewell}; {session.host}: {ending}{hint}")
    return result


def _say(line: Line, kind: str, **content: Any) -> None:
    """To the trainer, if it is still there."""
    with suppress(Disconnected):
        line.send(kind, **content)


def _leave(session: HostSession, line: Line, stopped: bool) -> tuple[str, bool]:
    """One clause on what the host has now, and whether it was reached; the trainer is told as well.

    Raises SessionFailed if its values are not back.
    """
    ending, restored, reached = "it is not known what the host has now", False, True
    try:
        ending, restored = session.leave(), True
    except AnsibleConnectionFailure as error:
        # Out of reach: its lease puts the values back. Saying so is all that can be done from here.
        session.show(f"{session.host} is out of reach ({error}); it takes its own values back within {session.lease} s")
        ending = f"if no connection comes back, the host takes its own values back within {session.lease} s"
        reached = False
    except SessionFailed as failure:
        ending = str(failure)
        if stopped:
            _last_word(session, ending)
        raise
    finally:
        _say(line, "left", ending=ending, restored=restored)
        line.close()
    return ending, reached


def _last_word(session: HostSession, text: str) -> None:
    """After Ctrl-C Ansible shows nothing more that a worker has to say, and this is what the user wants to know."""
    if os.getppid() != session.playbook_pid:
        return  # ansible-playbook is gone, and nobody is there to read
    try:
        # It may be a file, and then all that the run has said so far is in it: nothing but to append will do.
        with open(f"/proc/{session.playbook_pid}/fd/2", "a") as terminal:
            terminal.write(plain_line(f"[autotune] {session.host}: {text}") + "\n")
    except OSError:
        return


def _dry_run(
    session: HostSession, arguments: dict[str, Any], study: StudyFile, interrupts: Interrupts, hosts: int
) -> dict[str, Any]:
    try:
        with interrupts.allowed():
            facts, context = session.prepare()
            dry_run(context, facts, run_benchmark=arguments["dry_run"], show=session.show, hosts=hosts)
    except Lost as loss:
        raise AnsibleConnectionFailure(plain(loss)) from None
    except (ApplyFailed, BenchmarkFailed, Interrupted, OSError, TimedOut) as failure:
        raise SessionFailed(f"{session.host}: {failure}") from None
    finally:
        session.leave()
    return {"changed": False, "verdict": "none", "path": str(Path(arguments["output"]) / study.study.workload_name)}


def _announce(session: HostSession, study: StudyFile, count: int, arguments: dict[str, Any]) -> None:
    own = study.study
    session.show(
        f"study {own.workload_name}: {own.training_config.total_timesteps} training evaluations of "
        f"{len(own.action_space)} parameters on {count} host{'s' if count > 1 else ''}, then "
        f"{own.verification.rounds(count) * count} pairs at most to prove the best; "
        f"store {shown(_store_url(arguments))}"
    )
    session.show("Ctrl-C stops the run and puts every host's own values back")
    forks = int(context.CLIARGS["forks"])
    if forks < count:
        session.show(f"only {forks} of {count} hosts work at a time: raise forks (--forks {count}) to use them all")


def _known_hosts(task_vars: Mapping[str, Any]) -> list[KnownHost]:
    """All hosts of the run, if the play has looked at them (see playbooks/tune.yml): presets depend on each of them.

    Also those that have failed since, which the batch no longer names: a host that comes late reads the same study.
    """
    looked_at = {
        str(name): task_vars["hostvars"][name].get("autotune_host", {}) for name in task_vars["ansible_play_hosts_all"]
    }
    return [KnownHost.of_facts(name, facts) for name, facts in looked_at.items() if "parameters" in facts]


def _trainer_config(study: StudyFile, hosts: Sequence[str], output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "study": _without_secrets(study.study.model_dump(mode="json", exclude_none=True)),
        "hosts": list(hosts),
        "store": _store_url(arguments),
        "output": str(output),
        "seed": arguments["seed"],
        "playbook_pid": os.getppid(),
        "versions": {"ansible-core": ansible_version},
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for path, name in study.files},
        "resume": _wanted(arguments["resume"]),
        "debug": arguments["debug"],
    }


def _wanted(resume: str) -> int | bool:
    """Which study is to go on: its ID, True for the latest that can, False for none."""
    text = resume.strip().lower()
    if text.isdecimal() and len(text) < 19 and int(text):  # what an ID can be in every database
        return int(text)
    if text in ("true", "yes", "latest"):
        return True
    if text in ("false", "no", ""):
        return False
    given = brief(repr(resume))
    raise SessionFailed(f"resume is {given}; say true for the latest study that was interrupted, or the ID of one")


def _without_secrets(study: dict[str, Any]) -> dict[str, Any]:
    """The trainer, the store and the result need no more of the benchmark's environment than its names."""
    return {**study, "environment": dict.fromkeys(study["environment"], "(not kept)")}


def _store_url(arguments: dict[str, Any]) -> str:
    return arguments["store"] or f"sqlite:///{Path(arguments['output']).absolute() / 'autotune.sqlite'}"


def _folder(action: ActionBase) -> Path:
    """The task's private folder, gone with ansible-playbook."""
    task = hashlib.sha256(action._task._uuid.encode()).hexdigest()[:16]
    return Path(constants.DEFAULT_LOCAL_TMP) / f"autotune-{task}"
