# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The workloads that the collection brings, and the studies that a user has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..plugins.plugin_utils._study.parser import parse
from .playbooks import COLLECTION

_STUDY = "study.yml"


@dataclass(frozen=True)
class Workload:
    """A workload of the library. title: of its README, in a few words."""

    name: str
    study: Path
    title: str

    def content(self) -> dict[str, Any]:
        """The study file's content. Raises StudyError."""
        return parse(self.study)


def workloads() -> list[Workload]:
    """All workloads of the library, by name."""
    return [
        Workload(study.parent.name, study, _title(study.with_name("README.md")))
        for study in sorted((COLLECTION / "benchmarks").glob(f"*/{_STUDY}"))
    ]


def study_path(given: str) -> Path:
    """The study that a user names: the path of a file, or of its folder, or the name of a workload of the library.

    Raises FileNotFoundError, with what there is.
    """
    if not given:
        raise FileNotFoundError("name a study: a file, its folder, or a workload of the library")
    known = {workload.name: workload.study for workload in workloads()}
    for path in (Path(given), Path(given, _STUDY)):
        if path.is_file():
            return path
    if given in known:
        return known[given]
    raise FileNotFoundError(f"{given} is neither a study file nor a workload of the library: {', '.join(known)}")


def _title(readme: Path) -> str:
    """Of a README that begins with `# name: title`."""
    if not readme.is_file():
        return ""
    with readme.open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].strip()
