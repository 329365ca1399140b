"""The documentation says what the code says: keys and defaults, settings, names, figures, links, commands."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_collections.autotune.kernel.client.cli import SUBCOMMANDS
from ansible_collections.autotune.kernel.plugins.module_utils._catalogue import SYSCTLS
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.model_based import _ROLLOUT
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.observation import Observer
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.policy import Policy
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.surrogate_env import SurrogateEnv
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.file import read_study
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.sections import TrainingConfig
from ansible_collections.autotune.kernel.plugins.plugin_utils._study.study import Study
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.benchmark import Benchmark, BenchmarkFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.local import LocalTransport
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.service import Service

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
REFERENCE = (DOCS / "reference/study.md").read_text()
WHOLE, *PARTS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)]
# The parts of the program whose names have no underscore.
FOLDERS = ("action", "lookup", "modules", "module_utils", "dashboard", "client")
# Keys with a default of which the reference shows something else.
EXAMPLES = {"exploration", "share"}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    """The contents of a page's code blocks in these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date(generate: ModuleType) -> None:
    stale = [named(page) for page in generate.pages() if generate.written(page.read_text()) != page.read_text()]
    assert stale == [], "run ./dev docs, or python docs/generate.py"


def test_every_figure_is_shown_and_says_which_command_made_it(generate: ModuleType) -> None:
    shown = set(re.findall(r"<!-- generated: (\S+) -->", "".join(page.read_text() for page in generate.pages())))
    shown -= {"NAME"}  # CONTRIBUTING explains the mark
    figures = {path.stem for path in generate.FIGURES.iterdir()}
    assert shown == figures | generate.PARTS.keys()
    for path in generate.FIGURES.glob("*.json"):
        content = json.loads(path.read_text())
        assert content["command"].startswith(("./dev ", "python tests/performance/")), path.name
        assert {len(row) for row in content["rows"]} == {len(content["columns"])}, path.name
    assert all(path.read_text().startswith("$ ./dev ") for path in generate.FIGURES.glob("*.txt"))


def test_the_excerpt_of_a_run_is_an_excerpt(generate: ModuleType) -> None:
    whole = (generate.FIGURES / "tune.txt").read_text().splitlines()
    excerpt = (generate.FIGURES / "tune_excerpt.txt").read_text().splitlines()
    places = [whole.index(line) for line in excerpt if line != "..."]
    assert places == sorted(places)


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


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_example_of_a_study_is_valid(page: Path, tmp_path: Path) -> None:
    parts = [part for text in blocks(page, "yaml") if isinstance(part := yaml.safe_load(text), dict)]
    for part in parts:
        for name in (
            "my_benchmark.py",
            "latency.py",
            "prepare.sh",
            "reset.sh",
            "clean_up.sh",
            "serve.sh",
            *part.get("files", []),
        ):
            (tmp_path / name).touch()
        for guard in part.get("guard_benchmarks", []):
            if "study" in guard:
                (tmp_path / guard["study"]).write_text(yaml.safe_dump({**WHOLE, "workload_name": "other"}))
        constraints = {"constraints": []} if "action_space" in part else {}
        (tmp_path / "study.yml").write_text(yaml.safe_dump({**WHOLE, **constraints, **part}))
        read_study(tmp_path / "study.yml", tmp_path)


def test_what_a_service_reads_only_when_it_starts_is_shown_with_a_restart() -> None:
    """Such as the limit of its queue: without a restart, a new value has no effect, and no study can tell."""
    files = [*PAGES, *(ROOT / "benchmarks").glob("*/*.yml"), *(ROOT / "playbooks/templates").glob("*.yml.j2")]
    lines = [line for file in files for line in file.read_text().splitlines() if "param: net.core.somaxconn" in line]
    assert lines
    assert [line for line in lines if "restart: true" not in line] == []


@pytest.mark.takes_seconds
def test_the_service_of_the_how_to_starts_restarts_and_ends_as_a_study_has_it(tmp_path: Path) -> None:
    (program,) = blocks(DOCS / "how-to/benchmark.md", "shell")
    (tmp_path / "serve.sh").write_text(program)
    with socket.create_server(("127.0.0.2", 0)) as others:
        address = others.getsockname()
        environment = {"AUTOTUNE_SERVICE": address[0], "SERVE_PORT": str(address[1])}
        commands = Benchmark(LocalTransport(), environment, 60)
        commands.copy([(tmp_path / "serve.sh", "serve.sh")])
        service = Service(commands, "sh serve.sh start", "sh serve.sh stop", ["net.core.somaxconn"])
        with pytest.raises(BenchmarkFailed, match=f"start` .*: another service has 127.0.0.2:{address[1]}; choose"):
            service.require({"net.core.somaxconn": "128"})
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)

    for queue in ("128", "256"):
        assert service.require({"net.core.somaxconn": queue})
        with socket.create_connection(address) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.makefile().read().endswith("hello\n")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", address[1]))
    service.remove()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    assert not Path(commands.process_group).parent.exists()


def test_defaults_are_the_defaults() -> None:
    least = {key: WHOLE[key] for key in ("workload_name", "reward_metric", "benchmark_command", "action_space")}
    study = Study.model_validate({**least, "training_config": defaults_of_ppo()})
    content = study.model_dump(mode="json", exclude_none=True)
    one_of_many = tuple(f"{key}." for key, value in content.items() if isinstance(value, list))
    defaults = {key: value for key, value in written_in(content) if not key.startswith(one_of_many)}
    shown = {key: value for key, value in SHOWN if key in defaults and not isinstance(value, dict | list)}
    assert {"verification.pairs", "caution.harm", "reward.stability", "control_interval"} <= shown.keys()
    assert {key for key, value in shown.items() if value != defaults[key]} == EXAMPLES


def test_the_defaults_of_ppo_are_described() -> None:
    described = yaml.safe_load((DOCS / "reference/descriptions.yml").read_text())["study"]["TrainingConfig"]
    for name, value in defaults_of_ppo().items():
        assert described[name].endswith(f"; {value:g} if omitted"), name


def defaults_of_ppo() -> dict[str, Any]:
    """What PPO really gets where a study says nothing."""
    space = Study.model_validate({**WHOLE, "constraints": [], "state_space": []}).space
    ppo = Policy(SurrogateEnv(space, Observer(space, []), 10, _ROLLOUT, seed=1), TrainingConfig(), seed=1)._ppo
    same = {name: getattr(ppo, name) for name in ("batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda")}
    return {**same, "ent_coef": ppo.ent_coef, "clip_range": ppo.clip_range(1.0), "n_steps": ppo.env.num_envs}


def settings_of_playbooks() -> set[str]:
    playbooks = "".join(path.read_text() for path in (ROOT / "playbooks").glob("*.yml") if path.stem != "lab")
    return set(re.findall(r"\b([a-z_]+) \| (?:default|mandatory)", playbooks))


def test_every_setting_of_the_playbooks_is_in_the_reference() -> None:
    settings = settings_of_playbooks()
    assert {"study", "dashboard", "dashboard_port", "benchmark_environment"} <= settings
    text = (DOCS / "reference/settings.md").read_text()
    assert [name for name in sorted(settings) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "explanation/safety.md"], ids=named)
def test_the_catalogue_is_as_large_as_it_says(page: Path) -> None:
    assert f"catalogue of about {round(len(SYSCTLS), -1)} sysctls" in " ".join(page.read_text().split())


def test_the_architecture_names_every_part_of_the_program() -> None:
    text = (DOCS / "ARCHITECTURE.md").read_text()
    folder = ROOT / "plugins/plugin_utils"
    parts = {path.relative_to(folder).parts[0] for path in folder.rglob("*.py")}
    assert [name for name in sorted(parts) if f"`plugins/plugin_utils/{name}`" not in text] == []


def test_the_architecture_names_files_that_exist() -> None:
    text = (DOCS / "ARCHITECTURE.md").read_text()
    files = set(re.findall(r"(?:[\w*]+/)+[\w*]+\.(?:py|js|html|yml)(?:\.j2)?\b", text))
    assert len(files) > 30
    roots = (ROOT, ROOT / "plugins", ROOT / "plugins/plugin_utils")
    assert sorted(name for name in files if not any(list(root.glob(name)) for root in roots)) == []


def parts_named(text: str) -> list[str]:
    """The parts of the program in backticks, as `part_of` names them."""
    found = re.findall(r"`(?:plugins/)?(?:plugin_utils/)?([\w]+)(?:\.py)?`", text)
    return [name for name in found if name.startswith("_") or name in FOLDERS]


def part_of(path: Path) -> str | None:
    """The row of ARCHITECTURE's table that a module belongs to: its folder, or its own name."""
    names = [name for name in path.with_suffix("").parts if name not in ("plugins", "plugin_utils")]
    return names[0] if names else None


def imports_of(file: Path) -> set[str]:
    """The other parts of the collection that a file imports."""
    here, found = file.relative_to(ROOT), set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here.parts[: -node.level]) + "." if node.level else ""
            modules = [".".join(filter(None, (f"{base}{node.module or ''}".strip("."), a.name))) for a in node.names]
        else:
            continue
        for module in modules:
            name = module.removeprefix("ansible_collections.autotune.kernel.")
            if name.startswith(("plugins.", "dashboard.", "client.")):
                found.add(part_of(Path(name.replace(".", "/"))))
    return found - {part_of(here)}


@pytest.mark.takes_seconds
def test_imports_are_those_that_the_architecture_allows() -> None:
    text = (DOCS / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| .*? \| (.*) \|$", text, re.MULTILINE)
    order = [parts_named(first) for first, dummy in rows]
    allowed = {part: parts_named(last) for first, last in rows for part in parts_named(first)}
    for file in [file for folder in ("plugins", "dashboard", "client") for file in ROOT.glob(f"{folder}/**/*.py")]:
        part = part_of(file.relative_to(ROOT))
        below = {name for row in order[1 + next(at for at, row in enumerate(order) if part in row) :] for name in row}
        assert imports_of(file) <= set(allowed[part]) & below, file


def test_no_two_files_of_the_controller_have_the_same_name() -> None:
    folders = (ROOT / "plugins/plugin_utils", ROOT / "dashboard", ROOT / "client")
    names = [path.name for folder in folders for path in folder.rglob("*.py") if path.name != "__main__.py"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_glossary_is_short_and_sorted() -> None:
    terms = re.findall(r"^\| (?!term|---)([^|]+) \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert 30 < len(terms) <= 44
    assert terms == sorted(terms)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target, dummy, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())):
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{target} in {named(page)}"
        if anchor:
            text = file.read_text()
            headings = {
                re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            }
            assert anchor in headings | set(re.findall(r"^\(([\w.-]+)\)=$", text, re.MULTILINE)), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_name_what_exists(page: Path) -> None:
    usage = (ROOT / "dev").read_text()
    settings = settings_of_playbooks() | {"lab_state"}
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        given = [word.partition("=")[0] for before, word in pairwise(words) if before == "-e"]
        assert set(given) <= settings, line
        if words[0] == "./dev":
            assert re.search(rf"^{words[1]}\)$", usage, re.MULTILINE), line
        elif words[0] == "ansible-playbook" and not words[1].startswith("learned/"):
            name = words[1].removeprefix("autotune.kernel.").removeprefix("playbooks/").removesuffix(".yml")
            assert (ROOT / f"playbooks/{name}.yml").exists(), line
        elif words[0] == "ansible-playbook":
            assert words[1].endswith(("/apply.yml", "/rollback.yml")), line
        elif words[0] in ("ansible", "ansible-doc"):
            modules = re.findall(r"autotune\.kernel\.(\w+)", line)
            assert [name for name in modules if not (ROOT / f"plugins/modules/{name}.py").exists()] == [], line
        elif words[0] == "autotune":
            assert words[1] in {*SUBCOMMANDS, "mcp"} or " " in words[1], line
        else:
            assert words[0] in {"pip", "python3", "ansible-galaxy", "autotune-dashboard"}, line


def test_every_playbook_is_called_with_an_inventory() -> None:
    """Else Ansible warns in two lines that there is none; where a playbook is only named, it has no options."""
    pages = [*PAGES, *(ROOT / "roles").glob("*/README.md"), *(ROOT / "playbooks").glob("*.yml")]
    call = re.compile(r"(`?)ansible-playbook (?:autotune\.kernel\.|playbooks/)[\w.]+([^`\n]*)")
    calls = [match for page in pages for match in call.finditer(page.read_text())]
    assert sum("-i localhost," in match[2] for match in calls) > 5
    named = [match for match in calls if match[1] and not match[2]]
    assert [match[0] for match in calls if match not in named and not match[2].startswith(" -i ")] == []


def test_contributors_are_told_every_command_of_dev() -> None:
    commands = re.findall(
        r"^  ([a-z-]+) ", (ROOT / "dev").read_text().partition("'END'\n")[2].partition("\nEND")[0], re.MULTILINE
    )
    text = (DOCS / "CONTRIBUTING.md").read_text()
    assert "bench-learner" in commands
    assert [command for command in commands if f"`./dev {command}" not in text] == []
