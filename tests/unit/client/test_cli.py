# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.client import cli
from ansible_collections.autotune.kernel.client.cli import SUBCOMMANDS, main

from .conftest import RESULT

sys.path.insert(0, str(Path(__file__).parents[2]))
import dashboard_store


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_what_nohup_ignores_stays_ignored(handler: signal.Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence runs two playbooks; the second one must outlive the terminal as well."""
    during = []

    class Child:
        def __init__(self, *arguments: object, **keywords: object) -> None:
            pass

        def wait(self) -> int:
            during.append(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
            return 0

    monkeypatch.setattr(cli.subprocess, "Popen", Child)
    former = signal.signal(signal.SIGHUP, handler)
    try:
        assert main(["doctor"]) == 0
        assert signal.getsignal(signal.SIGHUP) == handler
    finally:
        signal.signal(signal.SIGHUP, former)
    assert during == [handler == signal.SIG_IGN]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nothing"], "nothing is neither a study file nor a workload of the library"),
        (["apply", "sensor"], "learned/sensor/apply.yml does not exist: no role was learned for sensor"),
        (["show", "sensor"], "learned/sensor/result.json does not exist"),
        (["status"], "there are no studies in learned; start one: autotune run STUDY"),
        (["stop"], "there are no studies in learned"),
        (["status", "--store", "nonsense"], "nonsense; name one that a study has written, see --store"),
        (["status", "--store", "nonsense:x"], "cannot be used"),
        (["run", ""], "name a study: a file, its folder, or a workload of the library"),
        (["doctor", ""], "name a study"),
        (["new", "../x"], "a workload's name has lower-case letters"),
        (["run", "memory", "--output", "{{ x }}"], "has a template in it, which Ansible would execute"),
        (["make", "it", "faster"], "none of the workloads here is named in that"),
        (["a disk and a database"], "that may mean fio or postgres"),
        (["tune everything except memory", "--yes"], "say what to tune instead of what not to: 'except'"),
        (["run", "x" * 300], "File name too long"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said.splitlines()[0]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stop", "the", "swapping"], "autotune: unrecognized arguments: the swapping"),
        (["run", "memory", "-i", ""], "it is empty; leave the option out for this machine"),
        (["run", "memory", "--options", '"'], "No closing quotation"),
        (["run"], "the following arguments are required: study"),
    ],
)
def test_wrong_arguments_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert line.endswith("put a sentence in quotation marks")


def test_nobody_is_asked_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["tune for memory"]) == 2
    assert "add --yes to run it without asking" in capsys.readouterr().err


def test_the_version_is_the_collections(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == "autotune 0.1.0\n"


def written(tmp_path: Path, workload: str = "sensor", **changes: object) -> Path:
    learned = tmp_path / "learned" / workload
    learned.mkdir(parents=True)
    (learned / "result.json").write_text(json.dumps({**RESULT, **changes}))
    return learned


@pytest.mark.parametrize("changes", [{"verdict": "no_improvement"}, {"verdict": "failed", "best_config": None}])
def test_only_learned_values_are_compared(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, study_id=3, **changes)
    assert main(["compare", "memory", "sensor"]) == 2
    assert f"study 3 of sensor ended as {changes['verdict']}: it has no learned values" in capsys.readouterr().err


def test_the_result_of_an_earlier_study_is_not_shown_as_the_latest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "wan", study_id=7)
    with dashboard_store.running(f"sqlite:///{tmp_path}/learned/autotune.sqlite"):
        assert main(["show"]) == 0
    said = capsys.readouterr()
    assert "this is the result of study 7; the latest is 1 wan: running" in said.err
    assert "+10.0 %" in said.out


def test_the_end_of_input_is_no_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert not cli._confirmed("Run it?")


@pytest.mark.parametrize("subcommand", ["apply", "rollback"])
def test_values_of_other_hosts_are_not_rolled_out_here(
    subcommand: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned = written(tmp_path)
    (learned / f"{subcommand}.yml").touch()
    assert main([subcommand, "sensor"]) == 2
    assert "sensor was learned on web1; name the inventory: -i INVENTORY" in capsys.readouterr().err
    assert main(["show", "sensor"]) == 0
    shown = capsys.readouterr().out
    assert "-i INVENTORY" in shown
    assert "localhost" not in shown


def test_list_shows_the_library_without_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "  memory     pages read, written and synced" in capsys.readouterr().out


def test_every_subcommand_has_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in SUBCOMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"usage: autotune {name}" in capsys.readouterr().out


def test_the_prompt_survives_mistakes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = 'list\n\nrun\nrun "x\napply nothing\nmake it faster\nhelp\nquit\nlist\n'
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert main([]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("workloads of the library:") == 1
    assert "the following arguments are required: study" in shown.err
    assert "No closing quotation" in shown.err
    assert "no role was learned for nothing" in shown.err
