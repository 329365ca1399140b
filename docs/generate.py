# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writes the generated parts of the documentation into its pages, so that they can be read without building anything.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`. NAME is a file of docs/figures, or one of
PARTS: what the study's and the result's models, the dashboard's API, presets and metrics have to say.
tests/unit/test_docs.py fails while a page differs from what this would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
FIGURES = DOCS / "figures"
sys.path.insert(0, str(DOCS.parent / "playbooks" / "collections"))

_PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_JSON = {"string": "text", "integer": "whole number", "number": "number", "boolean": "boolean", "null": "null"}

Schema = Mapping[str, Any]


def pages() -> Iterator[Path]:
    yield DOCS.parent / "README.md"
    yield from sorted(DOCS.parent.glob("benchmarks/*/README.md"))
    yield from sorted(DOCS.rglob("*.md"))


def written(text: str) -> str:
    """A page with its generated parts as they ought to be; raises KeyError for a name that means nothing."""
    return _PART.sub(lambda found: f"{found[1]}\n{part(found[2]).strip()}\n\n{found[3]}", text)


def part(name: str) -> str:
    figures = FIGURES / f"{name}.json"
    printed = FIGURES / f"{name}.txt"
    if figures.exists():
        content = json.loads(figures.read_text(encoding="utf-8"))
        return table(content["columns"], content["rows"])
    if printed.exists():
        return f"```text\n{printed.read_text(encoding='utf-8')}```"
    return PARTS[name]()


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def study_keys() -> str:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study

    titles = {
        "Study": "The study",
        "IntParameter": "`IntParameter`: a number in action_space",
        "BoolParameter": "`BoolParameter`: a switch in action_space",
        "ChoiceParameter": "`ChoiceParameter`: one of several values in action_space",
        "VectorParameter": "`VectorParameter`: several numbers in action_space",
        "Element": "`Element`: a number of a vector, with `value`, or with `min` and `max`",
        "StateMetric": "`StateMetric`: an entry of state_space",
        "Objective": "`Objective`: an entry of objectives",
        "Extraction": "`Extraction`: paths or patterns in output",
        "TrainingConfig": "`TrainingConfig`: training_config",
        "Verification": "`Verification`: verification",
        "Packages": "`Packages`: packages",
        "GuardMetric": "`GuardMetric`: an entry of guard_metrics",
        "GuardBenchmark": "`GuardBenchmark`: an entry of guard_benchmarks",
        "RewardWeights": "`RewardWeights`: reward",
        "Guard": "`Guard`: guard",
        "Caution": "`Caution`: caution",
    }
    return _sections(Study.model_json_schema(by_alias=True), titles, _descriptions()["study"])


def result_keys() -> str:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._outcome.result import Result

    said = _descriptions()["result"]
    return _sections(Result.model_json_schema(by_alias=True), {name: f"`{name}`" for name in said}, said)


def _descriptions() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DOCS / "reference/descriptions.yml").read_text(encoding="utf-8"))
    return content


def _sections(schema: Schema, titles: Mapping[str, str], said: Mapping[str, Mapping[str, str]]) -> str:
    """A table for each model; raises KeyError naming models and keys that are described without existing, or not."""
    models = {schema["title"]: schema, **schema["$defs"]}
    keys = {(name, key) for name, model in models.items() for key in model["properties"]}
    described = {(name, key) for name, texts in said.items() for key in texts}
    if wrong := sorted(keys ^ described):
        raise KeyError(f"docs/reference/descriptions.yml and the models differ in {wrong}")
    return "\n\n".join(f"### {title}\n\n{_keys(models[name], said[name])}" for name, title in titles.items())


def _keys(model: Schema, said: Mapping[str, str]) -> str:
    required = model.get("required", ())
    return table(
        ["key", "type", "default", "meaning"],
        [
            [f"`{key}`", _type(found), "required" if key in required else _default(found), said[key]]
            for key, found in model["properties"].items()
        ],
    )


def _type(found: Schema) -> str:
    """What a key may be, from its JSON schema."""
    if "$ref" in found:
        return f"`{found['$ref'].rpartition('/')[2]}`"
    if "allOf" in found:  # how pydantic before 2.10 writes a reference with a default
        return _type(found["allOf"][0])
    if "const" in found or "enum" in found:
        return ", ".join(f"`{choice}`" for choice in found.get("enum", [found.get("const")]))
    if several := found.get("anyOf") or found.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(one) for one in several if one.get("type") != "null"))
    if "prefixItems" in found:
        return f"list of {len(found['prefixItems'])}: {', '.join(_type(one) for one in found['prefixItems'])}"
    if found.get("type") == "array":
        return f"list of {_type(found['items'])}"
    if found.get("type") == "object":
        values = found.get("additionalProperties", True)
        return "mapping" if values is True else f"mapping to {_type(values)}"
    return f"{_JSON[found['type']]}{_limits(found)}"


def _limits(found: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {found[name]:g}" for name, sign in signs.items() if name in found and abs(found[name]) < 2**31]
    return f" {', '.join(limits)}" if limits else ""


def _default(found: Schema) -> str:
    default = found.get("default")
    if default is None or default in ("", [], {}):
        return "none"
    if isinstance(default, dict):
        return "see below"
    return f"`{json.dumps(default).strip(chr(34))}`"


def system_metrics() -> str:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.system_metrics import SYSTEM_METRICS

    rows = [[f"`{name}`", metric.unit, metric.description] for name, metric in SYSTEM_METRICS.items()]
    return table(["metric", "unit", "meaning"], rows)


def presets() -> str:
    from ansible_collections.autotune.kernel.plugins.plugin_utils._study.presets import PRESETS

    rows = [[f"`preset:{name}`", ", ".join(f"`{pick.name}`" for pick in preset)] for name, preset in PRESETS.items()]
    return table(["preset", "parameters"], rows)


def risks() -> str:
    from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_risks import RISKS

    rows = [
        [f"`{name}`", risk.condition(), risk.warning, f'"{risk.quote}" ([{_page_name(risk.source)}]({risk.source}))']
        for name, several in sorted(RISKS.items())
        for risk in several
    ]
    return table(["parameter", "applies to", "what may happen", "the documentation"], rows)


def _page_name(address: str) -> str:
    return address.rpartition("/")[2].removesuffix(".html")


def api_paths() -> str:
    document = _api()
    rows = [
        [
            f"`/api{path}`",
            found["get"]["summary"],
            ", ".join(f"`{given['name']}`" for given in found["get"]["parameters"] if given["in"] == "query") or "none",
        ]
        for path, found in document["paths"].items()
    ]
    return table(["GET", "returns", "query parameters"], rows)


def api_schemas() -> str:
    schemas = _api()["components"]["schemas"]
    return table(
        ["object", "fields"],
        [
            [f"`{name}`", ", ".join(f"`{field}`" for field in found["properties"])]
            for name, found in sorted(schemas.items())
        ],
    )


def _api() -> dict[str, Any]:
    from ansible_collections.autotune.kernel.dashboard.openapi import document

    return document("")


PARTS: dict[str, Callable[[], str]] = {
    "study_keys": study_keys,
    "result_keys": result_keys,
    "system_metrics": system_metrics,
    "presets": presets,
    "risks": risks,
    "api_paths": api_paths,
    "api_schemas": api_schemas,
}


def main() -> None:
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := written(before)) != before:
            page.write_text(after, encoding="utf-8")
            print(f"wrote the generated parts of {page.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
