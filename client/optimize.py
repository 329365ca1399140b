# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The whole way from a study to a learned role, as one call in Python."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from ..plugins.plugin_utils._outcome.result import ResultError, read
from ..plugins.plugin_utils._outcome.summary import summary
from .play import PlayFailed, run_playbook
from .playbooks import hosts_of
from .progress_bar import ProgressBar

OUTPUT = "learned"
_EVALUATE = "autotune.kernel.evaluate"
# Of a run that hosts were lost from, and that went on with the others.
_WITHOUT_LOST_HOSTS = ("improved", "no_improvement", "stopped")


class TuningFailed(PlayFailed):
    """Nothing was learned; the message is the play's, and every host that could be reached has its original values."""


class Optimized(TypedDict):
    """What a run found.

    verdict: `improved`, `no_improvement`, `stopped`, or `none` for a dry run. best_config: the learned values, empty
    unless improved. best_reward: their mean reward in the proof. improvement, interval: over the original values, in
    per cent. path: the folder with result.json, report.html and, if improved, the learned role.
    """

    verdict: str
    best_config: dict[str, int | float | str]
    best_reward: float | None
    improvement: float | None
    interval: tuple[float, float] | None
    path: str


def optimize_os_parameters(
    config: Mapping[str, Any] | str | os.PathLike[str],
    inventory: str | os.PathLike[str] | None = None,
    show_dashboard: bool = True,
    web_host: str = "127.0.0.1",
    web_port: int = 5000,
    dry_run: bool = False,
    settings: Mapping[str, object] | None = None,
) -> Optimized:
    """Tune the kernel parameters of hosts for a workload; the same as the playbook autotune.kernel.tune.

    config: a study, as a mapping with the keys of a study file, or the path of one. Files that a mapping names lie in
    the current folder. inventory: of Ansible; None tunes this machine. show_dashboard: start the dashboard at
    `web_host` and `web_port`; it goes on after the run. An address other than this machine's own needs the token that
    is printed. dry_run: check everything and measure the noise, but change no parameter.
    settings: further ones of the playbook (docs/reference/settings.md), such as target, output, store, seed and resume.

    Ctrl-C, or an interrupted notebook cell, raises KeyboardInterrupt after the hosts' original values were restored.
    Raises TuningFailed.
    """
    if not isinstance(config, Mapping | str | os.PathLike):
        raise TuningFailed(f"config is a mapping or the path of a study, not {type(config).__name__}")
    if inventory is not None and (not isinstance(inventory, str | os.PathLike) or not os.fspath(inventory)):
        raise TuningFailed(f"inventory is a path, or host names with a comma, not {inventory!r}; None is this machine")
    with _study_file(config) as study:
        given_settings = {
            "study": str(study),
            "output": OUTPUT,
            "dry_run": dry_run,
            "dashboard": show_dashboard and not dry_run,
            "dashboard_host": web_host,
            "dashboard_port": web_port,
            **(settings or {}),
        }
        given = None if inventory is None else os.fspath(inventory)
        with ProgressBar() as progress:
            try:
                results = run_playbook("tune", given, given_settings, progress.show)
            except PlayFailed as failure:
                message, results = _without_path(str(failure), study, config), dict(failure.results)
                if results.get(_EVALUATE, {}).get("verdict") not in _WITHOUT_LOST_HOSTS:
                    raise TuningFailed(message) from None
                print(f"autotune: {message}", file=sys.stderr)
    ended = results[_EVALUATE]
    target = given_settings.get("target")
    hosts = [*hosts_of(given), *(["-e", f"target={target}"] if target and given is not None else [])]
    return _found(Path(ended["path"]), ended["verdict"], hosts)


@contextmanager
def _study_file(config: Mapping[str, Any] | str | os.PathLike[str]) -> Iterator[Path]:
    if not isinstance(config, Mapping):
        yield Path(config).absolute()
        return
    try:
        text = json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TuningFailed(f"config is not a study: {error}") from None
    with tempfile.TemporaryDirectory(prefix="autotune-") as folder:
        path = Path(folder, "config.json")
        path.write_text(text, encoding="utf-8")
        yield path


def _without_path(message: str, study: Path, config: object) -> str:
    """A mapping's errors are those of `config`, not of the file that it was written to."""
    return message.replace(str(study), "config") if isinstance(config, Mapping) else message


def _found(folder: Path, verdict: str, hosts: list[str]) -> Optimized:
    if verdict == "none":
        return Optimized(
            verdict=verdict, best_config={}, best_reward=None, improvement=None, interval=None, path=str(folder)
        )
    try:
        result = read(folder)
    except ResultError as error:
        raise TuningFailed(str(error)) from None
    print(summary(result, folder, hosts), file=sys.stderr)
    return Optimized(
        verdict=result.verdict,
        best_config=dict(result.best_config or {}) if result.improved else {},
        best_reward=result.best_reward,
        improvement=result.improvement,
        interval=result.interval,
        path=str(folder),
    )
