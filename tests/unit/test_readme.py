"""README says all that a study can say, with the defaults there are, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import SYSCTLS
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.environment import Observer
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.model_based import _ROLLOUT
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.policy import Policy
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate_env import SurrogateEnv
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.algorithm import AlgorithmName
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.metrics import SYSTEM_METRICS
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.presets import PRESETS
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study, TrainingConfig
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
WHOLE, *PARTS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
# Keys with a default of which README shows something else.
EXAMPLES = {"exploration", "streams", "share"}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def keys_of(model: type[BaseModel], place: str = "") -> Iterator[str]:
    """Every key that the file of a study may have, with the keys it is in."""
    for name, field in model.model_fields.items():
        yield place + name
        for inner in models_in(field.annotation):
            yield from keys_of(inner, f"{place}{name}.")


def written_in(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every key in a part of a study, with its value."""
    if isinstance(content, list):
        for entry in content:
            yield from written_in(entry, place)
    elif isinstance(content, dict):
        for name, value in content.items():
            yield place + name, value
            if place + name != "environment":
                yield from written_in(value, f"{place}{name}.")


SHOWN = [pair for part in PARTS for pair in written_in(part)]


def test_every_key_of_a_study_is_there() -> None:
    keys = set(keys_of(Study))
    assert {"share", "guard.health_timeout", "action_space.elements.step", "objectives.weight"} <= keys  # it sees them
    assert sorted(keys - dict(SHOWN).keys() - dict(written_in(WHOLE)).keys()) == []


@pytest.mark.parametrize("part", [{}, *PARTS], ids=lambda part: ", ".join(part)[:60] or "the whole one")
def test_what_is_there_is_a_study(part: dict[str, Any], tmp_path: Path) -> None:
    for name in ("my_benchmark.py", "prepare.sh", "clean_up.sh", *part.get("files", [])):
        (tmp_path / name).touch()
    constraints = {"constraints": []} if "action_space" in part else {}
    (tmp_path / "study.yml").write_text(yaml.safe_dump({**WHOLE, **constraints, **part}))
    assert read_study(tmp_path / "study.yml", tmp_path).study.workload_name == "my-workload"


def test_the_defaults_are_the_defaults() -> None:
    least = {key: WHOLE[key] for key in ("workload_name", "reward_metric", "benchmark_command", "action_space")}
    study = Study.model_validate({**least, "training_config": defaults_of_ppo()})
    content = study.model_dump(mode="json", exclude_none=True)
    one_of_many = tuple(f"{key}." for key, value in content.items() if isinstance(value, list))
    defaults = {key: value for key, value in written_in(content) if not key.startswith(one_of_many)}
    shown = {key: value for key, value in SHOWN if key in defaults and not isinstance(value, dict | list)}
    assert {"verification.pairs", "caution.harm", "reward.stability", "control_interval"} <= shown.keys()
    assert {key for key, value in shown.items() if value != defaults[key]} == EXAMPLES


def defaults_of_ppo() -> dict[str, Any]:
    """What PPO really gets where a study says nothing."""
    space = Study.model_validate({**WHOLE, "constraints": [], "state_space": []}).space
    ppo = Policy(SurrogateEnv(space, Observer(space, []), 10, _ROLLOUT, seed=1), TrainingConfig(), seed=1)._ppo
    same = {name: getattr(ppo, name) for name in ("batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda")}
    return {**same, "ent_coef": ppo.ent_coef, "clip_range": ppo.clip_range(1.0), "n_steps": ppo.env.num_envs}


@pytest.mark.parametrize("names", [SYSTEM_METRICS, PRESETS, get_args(AlgorithmName)], ids=["metrics", "presets", "all"])
def test_every_name_that_a_study_may_choose_is_there(names: Any) -> None:
    assert [name for name in names if not re.search(rf"\b{name}\b", README)] == []


def test_every_setting_of_the_playbooks_is_there() -> None:
    playbooks = "".join(path.read_text() for path in (ROOT / "playbooks").glob("*.yml") if path.stem != "lab")
    settings = set(re.findall(r"\{\{ (\w+) \|", playbooks))
    assert {"study", "dashboard_port", "benchmark_environment"} <= settings
    assert [name for name in sorted(settings) if not re.search(rf"`(-e )?{name}\b", README)] == []


def test_the_catalogue_is_as_large_as_it_says() -> None:
    assert f"a catalogue of some {round(len(SYSCTLS), -1)} sysctls" in README


def test_every_part_of_the_program_is_named_for_developers() -> None:
    section = README.partition("## For developers\n")[2]
    parts = [path.name for path in (ROOT / "plugins/plugin_utils").glob("_*") if path.name != "__pycache__"]
    assert [name for name in parts if f"`{name}`" not in section] == []
