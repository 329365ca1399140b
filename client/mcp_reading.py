# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reads the library and the store for the MCP server's tools, through the dashboard's queries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from ..dashboard import queries
from ..dashboard.feed import Cursor, Feed, is_over
from ..dashboard.feeds import Feeds
from ..dashboard.formatting import headline, number, per_cent, restoration, unrecovered
from ..dashboard.readonly_store import ReadOnlyStore
from ..dashboard.studies import trial_of
from ..dashboard.study_view import best_and_failures, evidence
from ..dashboard.updates import first_message, of_trial
from ..plugins.plugin_utils._outcome.result import Result as EndedResult
from ..plugins.plugin_utils._outcome.summary import summary
from ..plugins.plugin_utils._outcome.verdict import is_proved
from ..plugins.plugin_utils._store.store import StoreError
from ..plugins.plugin_utils._study.errors import StudyError
from ..plugins.plugin_utils._trial.trial import phase_name, values_label
from . import library
from .mcp_answers import Explanation, Result, Studies, StudyStatus, Trials, Value, Workload, Workloads
from .mcp_planning import study_of
from .mcp_site import Site

PAGE = 100
_STUDIES = 50
_NOTICES = 20
_LONGEST_README = 900


class NoStudy(LookupError):
    """There is no such study or trial, or no store; the message says what to do."""


def workloads(site: Site) -> Workloads:
    found, unusable = [], []
    for workload in library.workloads():
        try:
            study = study_of(site, str(workload.study)).study
        except StudyError as error:
            unusable.append(f"{workload.name}: {'; '.join(error.errors)}")
            continue
        readme = workload.study.with_name("README.md")
        found.append(
            Workload(
                name=study.workload_name,
                study=str(workload.study),
                stresses=_introduction(readme.read_text(encoding="utf-8")) if readme.is_file() else "",
                metric=study.reward_metric,
                direction=study.direction,
                parameters=[parameter.param for parameter in study.action_space],
                guard_benchmarks=[guard.name for guard in study.guard_benchmarks],
                packages=list(study.packages.host),
            )
        )
    return Workloads(workloads=found, unusable=unusable)


def _introduction(readme: str) -> str:
    """The README's text before its first section or example, without its title."""
    lines = takewhile(lambda line: not line.startswith(("## ", "```")), readme.splitlines()[1:])
    text = " ".join(line.strip() for line in lines if line.strip() and not line.startswith("    "))
    return text if len(text) <= _LONGEST_README else f"{text[: _LONGEST_README - 3]}..."


class Reading:
    """The studies of a store, which may not exist yet."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._feeds: Feeds | None = None

    @property
    def feeds(self) -> Feeds:
        """Raises StoreError."""
        if self._feeds is None:
            self._feeds = Feeds(ReadOnlyStore(self._site.store), poll=0.0)
        return self._feeds

    def studies(self, search: str, page: int) -> Studies:
        try:
            store = self.feeds.store
        except StoreError as error:
            return Studies(studies=[], total=0, next_cursor=None, note=str(error))
        with store.reading() as connection:
            rows, total = queries.listed_studies(
                connection, search=search[:100].replace("\0", ""), page=page, size=_STUDIES
            )
        more = page * _STUDIES < total
        return Studies.model_validate({"studies": rows, "total": total, "next_cursor": page + 1 if more else None})

    def feed(self, study_id: int) -> Feed:
        """Raises NoStudy."""
        try:
            return self.feeds.of(study_id)
        except LookupError:
            raise NoStudy(f"the store has no study {study_id}; list_studies lists them") from None

    def latest(self, workload: str = "") -> Mapping[str, Any] | None:
        """The row of the latest study, of this workload; None without one. Raises StoreError."""
        return next(iter(self.studies_of(workload)), None)

    def studies_of(self, workload: str) -> list[Mapping[str, Any]]:
        """The rows of the latest studies, of this workload if it is named, latest first. Raises StoreError."""
        with self.feeds.store.reading() as connection:
            rows, dummy = queries.listed_studies(connection, search=workload, size=_STUDIES)
        return [row for row in rows if workload in ("", row["workload_name"])]

    def status(self, study_id: int) -> StudyStatus:
        feed = self.feed(study_id)
        with feed.changed:
            message, study = first_message(feed), feed.study
        events = [" ".join(filter(None, (event["host"], event["text"]))) for event in message["events"]]
        return StudyStatus.model_validate(
            {
                "id": study_id,
                "workload_name": study["workload_name"],
                "headline": headline(study, message["status"]),
                "status": message["status"],
                "hosts": message["hosts"],
                "notices": events[-_NOTICES:],
            }
        )

    def result(self, study_id: int, *, with_pairs: bool) -> Result:
        feed = self.feed(study_id)
        message, best = first_message(feed), best_and_failures(feed)["best"]
        study, result = feed.study, feed.study["result"] or {}
        proof = evidence(result) or {}
        hosts = restoration(message["hosts"], is_over(feed)) if feed.ended else None
        improved = study["verdict"] == "improved"
        return Result.model_validate(
            {
                **{name: study[name] for name in ("workload_name", "verdict", "reason", "metric", "direction")},
                **{name: result.get(name) for name in ("improvement", "interval", "confidence", "p_value")},
                "study_id": study_id,
                "headline": headline(study, message["status"]),
                "proved": is_proved(result),
                "pairs": result.get("pairs") or 0,
                "better_pairs": proof.get("better", 0),
                "best": [Value.model_validate(vars(change)) for change in (best["changes"] if best else ())],
                "arms": proof.get("arms", {}),
                "interpretation": proof.get("interpretation"),
                "summary": _summary(self._site, result),
                "attention": [*unrecovered(result), *([hosts.text] if hosts and hosts.needs_attention else [])],
                "evidence": list(proof.get("pairs", ())) if with_pairs else [],
                "next_step": f"plan(action='rollout', workload='{study['workload_name']}', inventory=...)"
                if improved
                else "do not roll these values out: nothing was proved, or the study has not ended",
            }
        )

    def trials(self, study_id: int, cursor: int, limit: int) -> Trials:
        feed = self.feed(study_id)
        with feed.changed:
            found, total = feed.trials_since(Cursor(trial=cursor)), len(feed.trials)
        rows = [of_trial(trial) for trial in found[:limit]]
        more = len(found) > limit
        return Trials.model_validate({"trials": rows, "total": total, "next_cursor": rows[-1]["id"] if more else None})

    def explanation(self, study_id: int, trial_id: int) -> Explanation:
        feed = self.feed(study_id)
        try:
            trial = trial_of(feed, trial_id)
        except LookupError:
            raise NoStudy(f"study {study_id} has no trial {trial_id}; list_trials lists them") from None
        with feed.store.reading() as connection:
            originals = {row.name: row.original_values for row in queries.host_facts(connection, study_id)}
        said = _explained(feed.study, trial, originals.get(trial["host"]) or {})
        return Explanation.model_validate(
            {"study_id": study_id, "trial_id": trial_id, "explanation": said, "trial": trial}
        )


def _summary(site: Site, result: Mapping[str, Any]) -> list[str]:
    """What the terminal shows at the end of the study; nothing for a result of another version."""
    try:
        ended = EndedResult.model_validate(result)
    except ValidationError:
        return []
    return summary(ended, site.output.relative_to(site.root) / ended.workload_name).splitlines()


def _explained(study: Mapping[str, Any], trial: Mapping[str, Any], originals: Mapping[str, Any]) -> list[str]:
    """Sentences about a trial, without a full stop. originals: the host's own values."""
    label = values_label(trial["phase"], original=trial["original"], benchmark=trial["benchmark"])
    said = [f"trial {trial['id']} on {trial['host']}, {phase_name(trial['phase'])}: {label}"]
    if trial["metric"] is not None:
        change = trial["change_percent"]
        several = study["metrics"] != study["metric"] and not trial["benchmark"]
        of = f" in {study['metrics']}" if several else ""
        against = "" if change is None else f", {per_cent(change)}{of} against the host's baseline"
        level = "" if change is None or several or trial["level"] is None else f" of {number(trial['level'])}"
        said.append(f"{trial['benchmark'] or study['metric']} was {number(trial['metric'])}{against}{level}")
    if trial["error"]:
        said.append(f"it {trial['state']}: {trial['error']}")
    if trial["proposed_by"]:
        said.append(f"proposed by {trial['proposed_by']}")
    changed = [
        f"{name} from {_text(originals[name])} to {_text(value)}"
        for name, value in (trial["requested"] or {}).items()
        if name in originals and _text(originals[name]) != _text(value)
    ]
    if not trial["original"]:
        said.append(f"it changed {'; '.join(changed) or 'nothing'}")
    kept = trial["applied"] or {}
    other = [
        f"{name} = {_text(kept[name])}"
        for name, value in (trial["requested"] or {}).items()
        if name in kept and _text(kept[name]) != _text(value)
    ]
    if other:
        said.append(f"the kernel kept other values than requested: {'; '.join(other)}")
    if trial["stability"] is not None:
        parts = ", ".join(f"{name} {number(value)}" for name, value in (trial["stability_parts"] or {}).items())
        said.append(f"stability {number(trial['stability'])}" + (f" ({parts})" if parts else ""))
    if health := {name: value for name, value in (trial["health"] or {}).items() if value}:
        said.append(f"signals of the host's health: {', '.join(f'{name} {number(v)}' for name, v in health.items())}")
    return [*said, f"reward {number(trial['reward'])}"]


def _text(value: Any) -> str:
    return " ".join(str(value).split())
