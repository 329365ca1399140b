# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The commands in the shell blocks of README and tutorial, and which test runs each.

tests/integration/test_tutorial.py runs every command literally, except for those in RUN_BY: a new command either works
there or needs a line here.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs/tutorial.md"
PAGES = (README, TUTORIAL)

# Commands that take minutes, or do the same as one of the tutorial, and the test that runs them.
RUN_BY = {
    "./dev tune": "tests/integration/tune/test_tune.py",
    "./dev test": ".ci/run",
    "pip install .": "tests/integration/test_packaging.py",
    "ansible-playbook autotune.kernel.tune -i inventory -e study=study.yml": "tests/integration/tune/test_tune.py",
    # Its exit code depends on how steady the machine is.
    "ansible-playbook autotune.kernel.check -i inventory.ini -e study=web/study.yml": (
        "tests/integration/tune/test_check.py"
    ),
    "ansible-playbook autotune.kernel.tune -i inventory.ini -e study=web/study.yml -e dashboard=true": (
        "tests/integration/tune/test_page.py"
    ),
    "autotune run study.yml -i inventory": "tests/integration/test_ways_in.py",
    'autotune "optimize my system for memory-intensive workloads"': "tests/integration/test_ways_in.py",
    "autotune mcp": "tests/integration/test_mcp.py",
    "ansible-playbook learned/my-service/apply.yml -i inventory --check --diff": "tests/integration/test_tutorial.py",
    "ansible-playbook learned/my-service/apply.yml -i inventory": "tests/integration/test_learned_role.py",
    "ansible-playbook learned/my-service/rollback.yml -i inventory": "tests/integration/test_learned_role.py",
}


def commands(page: Path) -> list[str]:
    """The lines of the page's shell blocks, without comments and prompts."""
    text = "".join(re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE))
    return [command for line in text.splitlines() if (command := line.partition(" #")[0].strip())]


def run_literally() -> list[str]:
    """The commands that are not in RUN_BY, in the order in which a reader meets them."""
    return list(dict.fromkeys(command for page in PAGES for command in commands(page) if command not in RUN_BY))


def block(page: Path, language: str) -> str:
    """The page's first code block in a language."""
    found: str = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)[0]
    return found


def edit_as_told(folder: Path, port: int = 8080) -> None:
    """Put the tutorial's service into what playbook `new` has written to the folder, and make its benchmark short."""
    edits = {
        "benchmark.py": {
            "^PORT = 0 ": f"PORT = {port} ",
            "^import os$": "import http.client\nimport os",
            r"^def one_request\b.*?(?=\n\n\n)": block(TUTORIAL, "python").rstrip(),
            "^SECONDS = 5 ": "SECONDS = 0.3 ",
            r"^WARM_UP = 0\.5 ": "WARM_UP = 0.1 ",
        },
        "study.yml": {r"^action_space:\n.*?(?=\n\n)": block(TUTORIAL, "yaml").rstrip()},
    }
    for name, changes in edits.items():
        text = (folder / name).read_text()
        for pattern, wanted in changes.items():
            before, place, after = re.split(f"({pattern})", text, maxsplit=1, flags=re.DOTALL | re.MULTILINE)
            assert place
            text = before + wanted + after
        (folder / name).write_text(text)
