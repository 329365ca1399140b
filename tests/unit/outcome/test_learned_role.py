"""Which files are written and removed; untrusted text and foreign files stay what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.module_utils import _kernel
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.learned_role import (
    MARK,
    ForeignFileError,
    carry_out,
    key,
    plan,
    withdraw,
)
from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Change, Result
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import Template
from pydantic import ValidationError

HOSTILE = [
    "{{ lookup('pipe', 'touch /tmp/pwned') }}",
    "two\nlines: and a key\n- item",
    "nel\x85ls\u2028ps\u2029bell\x07esc\x1b[2J",
    "\"quoted\" 'quoted' --- # ... %YAML !unsafe &a *a",
    "[[ result ]] [% for x in y %] [# comment #]",
    "<script>alert(1)</script><img src=x onerror=alert(1)> --> ]]> | `a`",
]
OF_THE_ROLE = {
    "roles/wan_transfer/defaults/main.yml",
    "roles/wan_transfer/tasks/main.yml",
    "roles/wan_transfer/meta/main.yml",
    "roles/wan_transfer/meta/argument_specs.yml",
    "roles/wan_transfer/README.md",
    "apply.yml",
}
KEPT = {"rollback.yml", "collections/requirements.yml", "report.html"}


def _write(folder: Path, raw: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_text(json.dumps(raw), encoding="utf-8")
    return folder


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and path.name != "result.json"
    }


def _written(folder: Path, raw: dict[str, Any]) -> dict[str, str]:
    carry_out(plan(_write(folder, raw)))
    return _files(folder)


def test_an_improvement_yields_a_role_with_the_values(tmp_path: Path, improved: dict[str, Any]) -> None:
    files = _written(tmp_path, improved)
    assert set(files) == OF_THE_ROLE | KEPT
    defaults = yaml.safe_load(files["roles/wan_transfer/defaults/main.yml"])
    assert defaults == {
        "wan_transfer_values": improved["best_config"],
        "wan_transfer_holder": "",
        "wan_transfer_nonce": "",
    }
    (task,) = yaml.safe_load(files["roles/wan_transfer/tasks/main.yml"])
    assert task["autotune.kernel.sysctl"] == {
        "values": "{{ wan_transfer_values }}",
        "state": "present",
        "persist": "autotune-wan-transfer",
        "holder": "{{ wan_transfer_holder | default(omit, true) }}",
        "nonce": "{{ wan_transfer_nonce | default(omit, true) }}",
    }
    assert yaml.safe_load(files["collections/requirements.yml"]) == {
        "collections": [{"name": "autotune.kernel", "version": ">=0.1.0"}]
    }


def test_the_defaults_carry_their_evidence(tmp_path: Path, improved: dict[str, Any]) -> None:
    defaults = _written(tmp_path, improved)["roles/wan_transfer/defaults/main.yml"]
    for evidence in (
        "2026-11-22T12:05:12Z",
        "h1 (kernel 6.1.0-18), h2 (kernel 6.1.0-18)",
        "throughput_mbit (maximise): 153.2 -> 353, +130.4 % (95 % interval +118.2 % to +141.9 %), 2 pairs, p = 0.0078",
        "58 trials",
        "  # How TCP paces\n  # original reno, learned bbr\n  # - tested only together with all other values\n"
        '  net.ipv4.tcp_congestion_control: "bbr"\n',
        "  # original 60 (h1), 30 (h2), learned 10\n  # - tested only together with all other values\n",
    ):
        assert evidence in " ".join(defaults.split("\n# ")) or evidence in defaults


def test_the_role_attributes_the_gain_to_all_objectives_and_shows_the_worse_one(
    tmp_path: Path, improved: dict[str, Any]
) -> None:
    both = [
        {"metric": "throughput_mbit", "direction": "maximise", "weight": 1.0, "change": 400.0},
        {"metric": "p99_ms", "direction": "minimise", "weight": 0.5, "change": -20.0},
    ]
    files = _written(tmp_path, improved | {"objectives": both})
    readme = files["roles/wan_transfer/README.md"]
    assert "for the workload `wan-transfer`: throughput\\_mbit and p99\\_ms +130.4 % (95 %" in readme
    assert "and for the weighted mean of all objectives.\n" in readme
    assert "- Objective throughput\\_mbit +400.0 % (positive is better), maximise, weight 1.\n" in readme
    assert "- Objective p99\\_ms -20.0 % (positive is better), minimise, weight 0.5.\n" in readme
    assert "| improvement in throughput\\_mbit and p99\\_ms | +130.4 %" in readme
    defaults = files["roles/wan_transfer/defaults/main.yml"]
    whole = " ".join(defaults.split("\n# "))
    assert "throughput_mbit (maximise): 153.2 -> 353, throughput_mbit and p99_ms +130.4 % (95 % interval" in whole
    assert "Objective p99_ms -20.0 % (positive is better), minimise, weight 0.5." in whole
    assert (
        "<dt>improvement</dt><dd>+130.4 % (95 % interval +118.2 % to +141.9 %) in throughput_mbit and p99_ms, p"
        in (files["report.html"])
    )


def test_the_role_says_which_values_a_reboot_ends(tmp_path: Path, improved: dict[str, Any]) -> None:
    def texts(raw: dict[str, Any]) -> tuple[str, str]:
        files = _written(tmp_path, raw)
        specs = yaml.safe_load(files["roles/wan_transfer/meta/argument_specs.yml"])
        return files["roles/wan_transfer/README.md"], specs["argument_specs"]["main"]["description"][0]

    readme, described = texts(improved)
    assert "reboot" not in readme
    assert described.endswith("keeps them across reboots.")
    readme, described = texts(improved | {"best_config": {"vm.swappiness": 1, "block.sda.scheduler": "none"}})
    assert "but it cannot set block.sda.scheduler: apply the role again after a reboot.\n" in readme
    assert "- not kept across reboots, as no file in sysctl.d can set it" in readme
    assert described.endswith("except those that no file in sysctl.d can set.")


def test_the_role_allows_what_the_study_allowed(tmp_path: Path, improved: dict[str, Any]) -> None:
    files = _written(tmp_path, improved | {"study": {"allow_unsafe": ["vm.swappiness"]}})
    (task,) = yaml.safe_load(files["roles/wan_transfer/tasks/main.yml"])
    assert task["autotune.kernel.sysctl"]["allow_unsafe"] == ["vm.swappiness"]
    (play,) = yaml.safe_load(files["apply.yml"])
    assert play["tasks"][1]["block"][0]["autotune.kernel.sysctl"]["allow_unsafe"] == ["vm.swappiness"]


@pytest.mark.parametrize(
    ("hosts", "settings", "seconds"),
    [(100, {}, 0), (1, {"health_command": ["x"]}, 30), (11, {"health_command": ["x"], "health_seconds": "200"}, 600)],
)
def test_a_lease_outlasts_the_health_checks_of_its_batch(
    hosts: int, settings: dict[str, Any], seconds: int, tmp_path: Path, improved: dict[str, Any]
) -> None:
    (play,) = yaml.safe_load(_written(tmp_path, improved)["apply.yml"])
    batch = {"ansible_play_batch": range(hosts), "ansible_forks": 5}
    assert int(Template(play["vars"]["wan_transfer_checks"]).render(batch | settings)) == seconds
    lease = play["tasks"][1]["block"][0]["autotune.kernel.sysctl"]["lease"]
    assert Template(lease).render(batch, wan_transfer_checks=seconds) == str(120 + 3 * hosts + seconds)


def test_the_same_result_changes_nothing(tmp_path: Path, improved: dict[str, Any]) -> None:
    before = _written(tmp_path, improved)
    again = plan(tmp_path)
    assert not again.changed
    assert {str(path.relative_to(tmp_path)) for path in again.files} == set(before)


def test_a_plan_changes_nothing(tmp_path: Path, improved: dict[str, Any]) -> None:
    planned = plan(_write(tmp_path, improved))
    assert planned.changed
    assert planned.role == "wan_transfer"
    assert _files(tmp_path) == {}


@pytest.mark.parametrize("verdict", ["no_improvement", "failed", "stopped"])
def test_another_verdict_removes_the_role_and_keeps_the_rollback(
    tmp_path: Path, improved: dict[str, Any], verdict: str
) -> None:
    before = _written(tmp_path, improved)
    planned = plan(_write(tmp_path, improved | {"verdict": verdict}))
    assert planned.role is None
    carry_out(planned)
    after = _files(tmp_path)
    assert set(after) == KEPT
    assert after["rollback.yml"] == before["rollback.yml"]
    assert not (tmp_path / "roles").exists()
    assert not plan(tmp_path).changed


VALUES = {"roles/wan_transfer/defaults/main.yml", "roles/wan_transfer/README.md"}


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"verdict": "failed"}, KEPT - {"report.html"}),
        ({"verdict": "stopped"}, KEPT - {"report.html"}),
        ({"best_config": {"vm.swappiness": 7}}, (OF_THE_ROLE | KEPT) - VALUES - {"report.html"}),
        ({}, OF_THE_ROLE | KEPT),
    ],
)
def test_withdraws_what_a_new_result_contradicts(
    tmp_path: Path, improved: dict[str, Any], changes: dict[str, Any], left: set[str]
) -> None:
    _written(tmp_path, improved)
    withdraw(tmp_path, Result.model_validate(improved | changes))
    assert set(_files(tmp_path)) == left


def test_does_not_withdraw_foreign_files(tmp_path: Path, improved: dict[str, Any]) -> None:
    _written(tmp_path, improved)
    (tmp_path / "apply.yml").write_text("mine\n")
    withdraw(tmp_path, Result.model_validate(improved | {"verdict": "failed"}))
    assert set(_files(tmp_path)) == {"apply.yml", "rollback.yml", "collections/requirements.yml"}


@pytest.mark.parametrize("verdict", ["no_improvement", "failed", "stopped"])
def test_another_verdict_alone_yields_only_a_report(tmp_path: Path, improved: dict[str, Any], verdict: str) -> None:
    assert set(_written(tmp_path, improved | {"verdict": verdict})) == {"report.html"}


@pytest.mark.parametrize("path", sorted(OF_THE_ROLE | KEPT))
def test_does_not_overwrite_foreign_files(tmp_path: Path, improved: dict[str, Any], path: str) -> None:
    foreign = tmp_path / path
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_text("mine\n" * 10 + MARK)
    with pytest.raises(ForeignFileError) as caught:
        plan(_write(tmp_path, improved))
    assert str(foreign) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(_files(tmp_path)) == {path}


@pytest.mark.parametrize("path", sorted(OF_THE_ROLE))
def test_does_not_remove_foreign_files(tmp_path: Path, improved: dict[str, Any], path: str) -> None:
    before = set(_written(tmp_path, improved))
    (tmp_path / path).write_text("mine\n")
    with pytest.raises(ForeignFileError, match="autotune.kernel did not write it"):
        plan(_write(tmp_path, improved | {"verdict": "failed"}))
    assert set(_files(tmp_path)) == before


def test_keeps_a_file_that_was_added_to_the_role(tmp_path: Path, improved: dict[str, Any]) -> None:
    _written(tmp_path, improved)
    added = tmp_path / "roles/wan_transfer/handlers/main.yml"
    added.parent.mkdir()
    added.write_text("[]\n")
    assert set(_written(tmp_path, improved | {"verdict": "failed"})) == KEPT | {"roles/wan_transfer/handlers/main.yml"}


@pytest.mark.takes_seconds
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(tmp_path: Path, improved: dict[str, Any], text: str) -> None:
    harmless = _written(tmp_path / "harmless", improved)
    improved["parameters"][0]["description"] = text
    improved["reason"] = improved["metric"] = improved["finished"] = improved["started"] = text
    improved["per_host"][text] = improved["per_host"].pop("h1") | {"kernel": text}
    improved["parameters"][1]["original"] = {text: text, "h2": "30"}
    improved["parameters"][1]["proposed_by"] = text
    improved["parameters"][1]["risks"] = [{"warning": text, "quote": text, "source": text}]
    improved["evidence"][0]["host"] = text
    improved["versions"] |= {text: text, "autotune.kernel": text}
    improved["store"] = text
    hostile = _written(tmp_path / "hostile", improved)
    assert set(hostile) == set(harmless)
    for name in harmless:
        if name.endswith(".yml") and name != "collections/requirements.yml":
            assert yaml.safe_load(hostile[name]) == yaml.safe_load(harmless[name]), name
    assert yaml.safe_load(hostile["collections/requirements.yml"]) == {"collections": [{"name": "autotune.kernel"}]}
    for markup in ("<script", "<img"):
        assert markup not in hostile["report.html"]
        assert markup not in hostile["roles/wan_transfer/README.md"].replace("\\" + markup, "")
    assert hostile["report.html"].count("-->") == 1


def test_the_role_has_the_kept_values_with_their_contributions(tmp_path: Path, ablated: dict[str, Any]) -> None:
    files = _written(tmp_path, ablated)
    defaults = files["roles/wan_transfer/defaults/main.yml"]
    assert set(yaml.safe_load(defaults)["wan_transfer_values"]) == {
        "net.ipv4.tcp_congestion_control",
        "net.ipv4.tcp_rmem",
    }
    assert "  # original reno, learned bbr\n  # - effect shown on its own: +80.1 % (+70.0 % to +90.0 %)\n" in defaults
    readme = files["roles/wan_transfer/README.md"]
    assert "| `net.ipv4.tcp_congestion_control` | reno | bbr | +80.1 % (+70.0 % to +90.0 %) | How TCP paces |" in readme
    assert "- `vm.swappiness`: +0.4 % (-9.0 % to +9.5 %)" in readme
    assert "Unchanged, because every host already had the value: vm.page-cluster." in readme
    assert "Guard metric p99\\<ms\\>: +0.5 %" in readme
    assert (
        "- Guard benchmark receive, mbit\\<s\\>: -0.4 % (-1.9 % to +1.1 %; positive is better; limit -3.0 %): "
        "non-inferiority shown in 0 pairs." in readme
    )
    assert "- Removed, because it worsens receive: vm.dirty\\_ratio." in readme


UNUSUAL = [
    "block.cciss!c0d0.nr_requests",
    "net.ipv4.neigh.eth0,a.gc_stale_time",
    "net.ipv4.neigh.wg~0.gc_stale_time",
    "net.ipv4.neigh.bürö.gc_stale_time",
    "net.ipv4.neigh.\N{ROCKET}.gc_stale_time",
    "net.ipv4.neigh.br(0)%d^.gc_stale_time",
    "net/ipv4/neigh/a..b/gc_stale_time",
    "net.ipv4.conf.eth0#1:.mtu",
    "1.5",
    "!x.y",
]


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_name_that_a_study_may_have_is_safe_wherever_it_ends(
    tmp_path: Path, ablated: dict[str, Any], name: str
) -> None:
    assert _kernel.canonical_name(name) == name
    raw = ablated | {"best_config": {name: 8}, "study": {"allow_unsafe": [name]}}
    raw["race"] = [raw["race"][0] | {"values": {name: 8}}]
    raw["ablation"]["contributions"][0]["param"] = name
    files = _written(tmp_path, raw)
    assert yaml.safe_load(files["roles/wan_transfer/defaults/main.yml"])["wan_transfer_values"] == {name: 8}
    (task,) = yaml.safe_load(files["roles/wan_transfer/tasks/main.yml"])
    assert task["autotune.kernel.sysctl"]["allow_unsafe"] == [name]
    (play,) = yaml.safe_load(files["apply.yml"])
    assert play["tasks"][1]["block"][0]["autotune.kernel.sysctl"]["allow_unsafe"] == [name]
    assert f"| `{name}` | unknown | 8 |" in files["roles/wan_transfer/README.md"]
    assert f"<code>{name}</code>" in files["report.html"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("./!#~()%^,:@")), max_size=6))
@example(["net", "ipv4", "neigh", "\N{ROCKET}", "gc_stale_time"])
def test_study_and_result_have_one_rule_for_names(parts: list[str]) -> None:
    name = "/".join(parts)
    try:
        _kernel.canonical_name(name)
    except ValueError:
        with pytest.raises(ValidationError):
            Change(param=name, learned=1)
    else:
        assert Change(param=name, learned=1).param == name
        assert yaml.safe_load(f"{key(name)}: 1") == {name: 1}


def test_the_role_says_what_each_value_rests_on(tmp_path: Path, improved: dict[str, Any]) -> None:
    files = _written(tmp_path, improved)
    defaults = files["roles/wan_transfer/defaults/main.yml"]
    for line in (
        "  # - proposed by expert setting tuned-throughput-performance (trial 2)",
        "  # - this is the smallest value of its range (10); the surrogate predicts that the last quarter of the "
        "range adds\n  #   +2.5 %, so a wider one may gain more: lower min to 5, if that is safe for everything else "
        "on the hosts",
        '  # - risk: nobody swaps any more. The documentation: "you _must_ not lower it"',
    ):
        assert line in defaults, line
    readme = files["roles/wan_transfer/README.md"]
    assert (
        "## What each value rests on\n\n`net.ipv4.tcp_congestion_control`\n\n- tested only together with all other"
        in readme
    )
    assert "- proposed by expert setting tuned-throughput-performance (trial 2)" in readme
    assert '- risk: nobody swaps any more. The documentation: "you \\_must\\_ not lower it"' in readme
    report = files["report.html"]
    assert "<li>proposed by expert setting tuned-throughput-performance (trial 2)</li>" in report
    assert "<li>risk: nobody swaps any more." in report
