"""The closing summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.summary import summary

IMPROVED = """\
wan-transfer: improved, throughput_mbit +130.4 % (95 % interval +118.2 % to +141.9 %), proved in 2 pairs
  the interval excludes 0 and every host gained.
  baseline 153.2, best 353 (throughput_mbit, maximise), 2 pairs, p = 0.0078
  58 trials (1 failed) on 2 hosts in 5.2 min

  parameter                        original          learned
  net.ipv4.tcp_congestion_control  reno              bbr
    - tested only together with all other values
  net.ipv4.tcp_rmem                unknown           4096 131072 33554432
    - tested only together with all other values
  vm.swappiness                    60 (h1), 30 (h2)  10
    - tested only together with all other values
    - proposed by expert setting tuned-throughput-performance (trial 2)
    - this is the smallest value of its range (10); the surrogate predicts that the last quarter of the range
      adds +2.5 %, so a wider one may gain more: lower min to 5, if that is safe for everything else on the
      hosts
    - risk: nobody swaps any more. The documentation: "you _must_ not lower it"
      (https://docs.kernel.org/admin-guide/sysctl/vm.html)

  result    learned/wan-transfer/result.json
  report    learned/wan-transfer/report.html
  role      learned/wan-transfer/roles/wan_transfer
  store     sqlite:///autotune.sqlite (study 3)

  preview   ansible-playbook learned/wan-transfer/apply.yml -i hosts.yml --check --diff
  apply     ansible-playbook learned/wan-transfer/apply.yml -i hosts.yml
  roll back ansible-playbook learned/wan-transfer/rollback.yml -i hosts.yml"""


def test_an_improvement_shows_values_files_and_commands(improved: dict[str, Any]) -> None:
    assert summary(Result.model_validate(improved), Path("learned/wan-transfer"), ["-i", "hosts.yml"]) == IMPROVED


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("no_improvement", "no values were proved better than the original ones, so keep those"),
        ("failed", "no values were learned"),
        ("stopped", "stopped, no improvement was proved yet"),
    ],
)
def test_other_verdicts_offer_nothing_to_apply(improved: dict[str, Any], verdict: str, words: str) -> None:
    shown = summary(Result.model_validate(improved | {"verdict": verdict}), Path("learned/wan"))
    assert words in shown.splitlines()[0]
    assert "report" in shown
    assert "apply" not in shown
    assert "roles" not in shown


def test_a_study_without_numbers_has_a_summary() -> None:
    raw = {"workload_name": "wan", "verdict": "failed", "metric": "ops", "reason": "h1: \x1b[2Jno\nbenchmark"}
    shown = summary(Result.model_validate(raw), Path("learned/wan"))
    assert shown.splitlines()[:2] == ["wan: failed, no values were learned", r"  h1: \x1b[2Jno benchmark."]


def test_quotes_paths_for_the_shell(improved: dict[str, Any]) -> None:
    shown = summary(Result.model_validate(improved), Path("my learned"), ["-i", "my hosts.yml"])
    assert "ansible-playbook 'my learned/apply.yml' -i 'my hosts.yml'" in shown


def test_shows_objectives_and_early_stopping(improved: dict[str, Any]) -> None:
    objectives = [
        {"metric": "throughput_mbit", "direction": "maximise", "weight": 1.0, "change": -3.5},
        {"metric": "p99_ms", "direction": "minimise", "weight": 0.5, "change": 40.0},
    ]
    stopped = {"training": "the last 20 trials brought 0 % more", "trials_saved": 35}
    raw = improved | {"objectives": objectives, "early_stopping": stopped}
    text = summary(Result.model_validate(raw), Path("learned"))
    assert "improved, throughput_mbit and p99_ms +130" in text
    assert "  p99_ms +40.0 % (positive is better), minimise, weight 0.5" in text
    assert "  training stopped 35 trials early: the last 20 trials brought 0 % more" in text


def test_a_stopped_study_shows_how_to_resume(improved: dict[str, Any]) -> None:
    shown = summary(Result.model_validate(improved | {"verdict": "stopped"}), Path("learned/wan"))
    assert shown.splitlines()[-1] == "  resume    the same command with -e resume=3"
    assert "resume" not in summary(Result.model_validate(improved | {"verdict": "no_improvement"}), Path("learned/wan"))


def test_lists_the_parameters_that_were_removed(ablated: dict[str, Any]) -> None:
    text = summary(Result.model_validate(ablated), Path("learned/wan-transfer"))
    assert "  net.ipv4.tcp_congestion_control  reno      bbr                   +80.1 % (+70.0 % to +90.0 %)" in text
    assert "  dropped, not shown to contribute: vm.swappiness\n  already set on every host: vm.page-cluster\n" in text
    assert "  p99<ms> +0.5 % (limit -2.0 %): non-inferior\n" in text


def test_a_study_stopped_after_its_proof_reports_the_proof(ablated: dict[str, Any]) -> None:
    stopped = {**ablated, "verdict": "stopped", "proved": True}
    text = summary(Result.model_validate(stopped), Path("learned/wan-transfer"))
    assert "no values were proved" not in text
    assert "the ablation was not completed" in text


def test_carry_over_and_lost_performance_are_said(improved: dict[str, Any]) -> None:
    test = {"change": -5.1, "interval": [-7.0, -3.2], "p_value": 1e-5, "detectable": 3.9, "correlation": 0.1}
    test["by_effect"] = True
    tests = [test | {"found": True, "pause": 0.0}, test | {"found": False, "pause": 10.0}]
    host = improved["per_host"]["h1"] | {"recovery": {"recovered": False}}
    raw = improved | {"decided_after": 6, "carry_over": tests, "per_host": improved["per_host"] | {"h1": host}}
    lines = summary(Result.model_validate(raw), Path("learned/wan")).splitlines()
    assert "2 pairs, p = 0.0078, proved after 6" in lines[3]
    assert lines[2].startswith(
        "  NEEDS ATTENTION: h1 has its original values back, but not its performance: the benchmark"
    )
    assert lines[4] == (
        "  carry-over found, but none with a pause of 10 s before each run: a run right after one of the candidate: "
        "-5.1 % (-7.0 % to -3.2 %); less than 3.9 % could go undetected"
    )
    raw["carry_over"] = tests[:1]
    assert "carry-over found: a run right after" in summary(Result.model_validate(raw), Path("learned/wan"))
