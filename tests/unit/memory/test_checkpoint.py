# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checkpoints: what was written is what is read, and anything else is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.snapshot import Snapshot
from ansible_collections.autotune.kernel.plugins.plugin_utils._memory import checkpoint
from ansible_collections.autotune.kernel.plugins.plugin_utils._memory.checkpoint import Checkpoints
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FILES = ("manifest.json", "state.json", "tensors.safetensors")


def snapshot(seen: int) -> Snapshot:
    """A policy, its optimiser's steps, and a generator's state."""
    tensors = {"policy.weight": torch.arange(6.0).reshape(2, 3).t() + seen, "adam.step": torch.tensor(seen)}
    return Snapshot(tensors, {"seen": seen, "generator": {"state": [2**64 - 1, seen]}, "name": "π"})


def seen_in(checkpoints: Checkpoints) -> tuple[int | None, list[str]]:
    told: list[str] = []
    found = checkpoints.latest(told.append)
    return (found.state["seen"] if found else None), told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "learned" / "wan" / "checkpoints" / "7"


@pytest.fixture
def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder, 7, "digest of the study")


def newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: path.name)


def test_what_was_written_is_read_back_to_the_bit(checkpoints: Checkpoints) -> None:
    written = snapshot(12)
    checkpoints.write(written)
    read = checkpoints.latest(pytest.fail)
    assert read is not None
    assert read.state == written.state
    assert read.tensors.keys() == written.tensors.keys()
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in written.tensors.items())


def test_the_newest_three_are_kept_for_nobody_else_to_read(checkpoints: Checkpoints, folder: Path) -> None:
    for seen in (5, 10, 10, 999_999, 1_000_000):
        checkpoints.write(snapshot(seen))
    assert sorted(int(path.name.partition("-")[0]) for path in folder.iterdir()) == [10, 999_999, 1_000_000]
    assert seen_in(checkpoints) == (1_000_000, [])
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*/*")} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {0o700}


def test_without_any_there_is_none(checkpoints: Checkpoints) -> None:
    assert seen_in(checkpoints) == (None, [])


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_that_is_not_the_one_written_makes_it_use_the_one_before(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoints = Checkpoints(folder, 7, "digest of the study")
    checkpoints.write(snapshot(5))
    checkpoints.write(snapshot(10))
    path = newest(folder) / data.draw(st.sampled_from(FILES))
    content = path.read_bytes()
    if data.draw(st.booleans(), label="truncate"):
        changed = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        changed = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    path.write_bytes(changed)

    seen, told = seen_in(checkpoints)

    assert seen == 5
    why = f"{path.name} is not what was written: truncated, damaged or tampered with"
    assert told == [f"checkpoint {path.parent} is not used: {why}"]
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_or_a_link_makes_it_use_the_one_before(
    checkpoints: Checkpoints, folder: Path, name: str, tmp_path: Path
) -> None:
    for seen in (5, 10, 15):
        checkpoints.write(snapshot(seen))
    last, before, dummy = sorted(folder.iterdir(), reverse=True)
    (last / name).unlink()
    (before / name).rename(tmp_path / "elsewhere")
    (before / name).symlink_to(tmp_path / "elsewhere")
    seen, told = seen_in(checkpoints)
    assert seen == 5
    assert f"{name} is missing" in told[0]
    assert f"{before} cannot be read" in told[1]


def test_of_another_study_it_is_refused(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.write(snapshot(5))
    assert seen_in(Checkpoints(folder, 8, "digest of the study")) == (
        None,
        [f"checkpoint {newest(folder)} is not used: it is of study 7, not of study 8"],
    )
    assert seen_in(Checkpoints(folder, 7, "another digest")) == (
        None,
        [f"checkpoint {newest(folder)} is not used: it is of a study that was another then"],
    )


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_whoever_forges_all_of_it_still_gets_no_code_to_run(
    checkpoints: Checkpoints, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints.write(snapshot(5))
    path = newest(folder)
    harm = pickle.dumps(Harmful())
    (path / "tensors.safetensors").write_bytes(harm)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["tensors.safetensors"] = hashlib.sha256(harm).hexdigest()
    text = json.dumps(manifest)
    (path / "manifest.json").write_text(text)
    path.rename(folder / f"000010-{hashlib.sha256(text.encode()).hexdigest()}")
    seen, told = seen_in(checkpoints)
    assert seen is None
    assert "it cannot be understood" in told[0]
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("failing", range(1, 7))
def test_a_disk_that_fails_at_any_write_leaves_the_one_before(
    checkpoints: Checkpoints, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    checkpoints.write(snapshot(5))
    calls = 0

    def sync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", sync)
    if failing <= 5:  # three files, their folder, the folder of all
        with pytest.raises(OSError, match="No space left"):
            checkpoints.write(snapshot(10))
    else:
        checkpoints.write(snapshot(10))
    monkeypatch.undo()
    assert seen_in(checkpoints) == (5 if failing < 5 else 10, [])
    assert not (folder / ".half").exists()


def test_half_a_checkpoint_of_a_trainer_that_was_killed_is_none(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.write(snapshot(5))
    half = folder / ".half"
    half.mkdir()
    (half / "state.json").write_text("{")
    assert seen_in(checkpoints) == (5, [])
    checkpoints.write(snapshot(10))
    assert seen_in(checkpoints) == (10, [])
    assert not half.exists()
