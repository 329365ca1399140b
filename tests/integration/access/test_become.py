# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tuning as a user who becomes root by sudo; what is missing is said before anything is written; no secret is seen."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
API_TOKEN = "Theiw9ah-of-the-inventory"  # noqa: S105
STUDY_TOKEN = "Zu0keeSh-of-the-study"  # noqa: S105


@pytest.fixture(autouse=True)
def _allowed_nothing(account: Any) -> Iterator[None]:
    yield
    account.may("")


@pytest.fixture
def tune(
    account: Any, write_study: Callable[..., Path], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """tune.yml as the account, with a benchmark that needs its environment."""
    needs = "assert os.environ['API_TOKEN'] and os.environ['STUDY_TOKEN']"
    study = write_study(needs, environment={"STUDY_TOKEN": STUDY_TOKEN})
    (tmp_path / "secrets.json").write_text(json.dumps({"benchmark_environment": {"API_TOKEN": API_TOKEN}}))
    given = [f"study={study}", f"output={tmp_path / 'learned'}", "ansible_become=true"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [word for text in given for word in ("-e", text)]
        ran: subprocess.CompletedProcess[str] = account.play(
            str(ROOT / "playbooks/tune.yml"), *words, "-e", f"@{tmp_path / 'secrets.json'}", *arguments, check=False
        )
        return ran

    return run


@pytest.mark.parametrize(
    ("rule", "password", "said"),  # None: the right one; False: none
    [
        ("tester ALL=(ALL) ALL", "guessed", "become does not work (Incorrect sudo password)"),
        ("", None, "become does not work (tester is not in the sudoers file.)"),
        ("tester ALL=(root) NOPASSWD: /usr/bin/id", False, "become does not work (Missing sudo password)"),
    ],
    ids=["password wrong", "not in sudoers", "another command only"],
)
def test_sudo_that_does_not_let_him_is_one_line_before_anything_is_written(
    account: Any, tune: Callable[..., Any], tmp_path: Path, rule: str, password: Any, said: str
) -> None:
    account.may(rule)
    given = {} if password is False else {"ansible_become_password": password or account.password}
    (tmp_path / "password.json").write_text(json.dumps(given))
    ran = tune("-e", f"@{tmp_path / 'password.json'}", "-e", "dry_run=true")
    shown = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode == 2, shown
    assert f"{said}; it needs a rule in sudoers" in shown
    assert "nothing was written" in shown
    assert "Traceback" not in shown
    assert account.root("cat /run/autotune/lease.json", check=False) == ""


def test_su_that_does_not_let_him_is_not_about_sudoers(account: Any, tune: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "password.json").write_text(json.dumps({"ansible_become_password": "guessed"}))
    ran = tune("-e", f"@{tmp_path / 'password.json'}", "-e", "dry_run=true", "-e", "ansible_become_method=su")
    shown = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode == 2, shown
    assert "become does not work (Incorrect su password); su needs the password of the target account" in shown
    assert "sudoers" not in shown
    assert "Traceback" not in shown


def test_without_become_he_is_told_what_would_help(account: Any, tune: Callable[..., Any]) -> None:
    ran = tune("-e", "ansible_become=false")
    assert ran.returncode == 2
    assert "cannot be set: user id 64999 may not write it: use become" in " ".join(ran.stdout.split())
    assert " baseline: " not in ran.stdout
    assert account.root("cat /run/autotune/lease.json", check=False) == ""


def test_a_run_by_become_and_its_role_work_and_no_secret_is_to_be_found(
    account: Any, tune: Callable[..., Any], tmp_path: Path
) -> None:
    account.may("tester ALL=(ALL) ALL")
    password = tmp_path / "password.json"
    password.write_text(json.dumps({"ansible_become_password": account.password}))
    before = account.lab.sysctl("lab1", FIN_TIMEOUT)

    seen: set[str] = set()
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(seen, over))
    watching.start()
    try:
        ran = tune("-e", f"@{password}", "-vv")
    finally:
        over.set()
        watching.join()

    assert ran.returncode == 0, ran.stdout + ran.stderr
    learned = tmp_path / "learned"
    assert json.loads((learned / "sensor/result.json").read_text())["verdict"] == "improved"
    kept = [path.read_bytes() for path in learned.rglob("*") if path.is_file()]
    assert len(kept) > 5
    left = account.root("cat /run/autotune/* /var/lib/autotune/* 2>/dev/null", check=False)
    assert any("sensor.py" in command for command in seen)
    for secret in (account.password, API_TOKEN, STUDY_TOKEN):
        assert not any(secret.encode() in content for content in kept)
        assert secret not in left
        assert not any(secret in command for command in seen)
        assert secret not in ran.stdout + ran.stderr

    account.play(str(learned / "sensor/apply.yml"), "-e", f"@{password}")
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) != before
    account.play(str(learned / "sensor/rollback.yml"), "-e", f"@{password}")
    assert account.lab.sysctl("lab1", FIN_TIMEOUT) == before


def _watch(seen: set[str], over: threading.Event) -> None:
    """Every command line of this machine, its lab hosts and its trainers included, ten times a second."""
    while not over.wait(0.1):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
