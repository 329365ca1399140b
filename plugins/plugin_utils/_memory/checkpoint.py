# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The learner's snapshots on disk: tensors and JSON, never code. What is not whole, or not this study's, is refused.

    checkpoints/<study id>/000042-1f0c…/     42 evaluations were known; then the SHA-256 of manifest.json
        tensors.safetensors
        state.json
        manifest.json                        whose it is, and the SHA-256 of the other two

A checkpoint is a folder that is renamed into place when all of it is on disk, so there is never a part of one. A name
that holds the manifest's own digest leaves no byte of it that could change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from .._learner.snapshot import Snapshot

_KEPT = 3
_LARGEST = 256 * 2**20  # bytes of one file; a real one has less than 1 MB
_NAME = re.compile(r"(\d{6,})-([0-9a-f]{64})")


class Refused(Exception):
    """A checkpoint that must not be used; the message says why."""


class Checkpoints:
    """The checkpoints of one study, in a folder of their own.

    study_id, study: whose they are, `study` being a digest of the study (see _study/sameness.py).
    """

    def __init__(self, folder: Path, study_id: int, study: str) -> None:
        self._folder = folder
        self._owner = {"format": 2, "study_id": study_id, "study": study}

    def write(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, and the two before it. Raises OSError, and then the ones before are as they were."""
        from safetensors.torch import save  # torch comes with it, and not every algorithm needs that

        tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in snapshot.tensors.items()}
        contents = {
            "tensors.safetensors": save(tensors),
            "state.json": json.dumps(snapshot.state, allow_nan=False).encode(),
        }
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        manifest = json.dumps({**self._owner, "files": digests}, indent=2).encode()
        name = f"{int(snapshot.state['seen']):06d}-{hashlib.sha256(manifest).hexdigest()}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = self._folder / ".half"  # of this trainer or of one that was killed: only one has the study
        shutil.rmtree(half, ignore_errors=True)
        if (self._folder / name).is_dir():
            return
        half.mkdir(mode=0o700)
        try:
            for file, content in {**contents, "manifest.json": manifest}.items():
                _write_durably(half / file, content)
            _sync(half)
            half.rename(self._folder / name)
            _sync(self._folder)
        except OSError:
            shutil.rmtree(half, ignore_errors=True)
            raise
        for old in self._all()[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def latest(self, tell: Callable[[str], None]) -> Snapshot | None:
        """The newest snapshot that is whole and this study's; `tell` hears of every one that is not."""
        for path in self._all():
            try:
                return self._read(path)
            except Refused as refusal:
                tell(f"checkpoint {path} is not used: {refusal}")
            except OSError as error:
                tell(f"checkpoint {path} cannot be read: {error.strerror}")
        return None

    def _all(self) -> list[Path]:
        """The newest first."""
        if not self._folder.is_dir():
            return []
        return sorted((path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)), key=_age, reverse=True)

    def _read(self, path: Path) -> Snapshot:
        from safetensors.torch import load

        expected = path.name.partition("-")[2]
        try:
            digests = self._manifest(_content(path / "manifest.json", expected))["files"]
            tensors, state = (_content(path / name, digests[name]) for name in ("tensors.safetensors", "state.json"))
            return Snapshot(load(tensors), json.loads(state))
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise Refused(f"it cannot be understood ({error})") from None

    def _manifest(self, content: bytes) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(content)
        if manifest["format"] != self._owner["format"]:
            raise Refused("another version of autotune.kernel has written it")
        if manifest["study_id"] != self._owner["study_id"]:
            raise Refused(f"it is of study {manifest['study_id']}, not of study {self._owner['study_id']}")
        if manifest["study"] != self._owner["study"]:
            raise Refused("it is of a study that was another then")
        return manifest


def _age(path: Path) -> tuple[int, int]:
    """By evaluations known; where these are the same, by time."""
    return int(path.name.partition("-")[0]), path.stat().st_mtime_ns


def _content(path: Path, digest: str) -> bytes:
    """The file's bytes, which are those that were written. Raises Refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise Refused(f"{path.name} is missing") from None
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            raise Refused(f"{path.name} is no file of this user's")
        content = file.read(_LARGEST)
    if hashlib.sha256(content).hexdigest() != digest:
        raise Refused(f"{path.name} is not what was written: truncated, damaged or tampered with")
    return content


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
