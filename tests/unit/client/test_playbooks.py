# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import re
import shlex

import pytest
from ansible.parsing.splitter import parse_kv
from ansible_collections.autotune.kernel.client.playbooks import command, environment, playbook, runnable, shown
from hypothesis import given
from hypothesis import strategies as st


def test_a_command_names_its_playbook_hosts_and_settings() -> None:
    words = command("tune.yml", "hosts.yml", {"study": "a.yml", "seed": 0, "dry_run": True, "store": None})
    assert shown(words) == "ansible-playbook tune.yml -i hosts.yml -e study=a.yml -e seed=0 -e dry_run=true"


def test_without_an_inventory_it_is_this_machine() -> None:
    assert command("tune.yml", None, {})[2:] == ["-e", "target=localhost"]
    assert command("new.yml", "", {}) == ["ansible-playbook", "new.yml", "-i", "localhost,"]


@given(
    st.one_of(
        st.text().filter(lambda text: not re.search(r"\{[{%#]", text)),
        st.integers(),
        st.booleans(),
        st.dictionaries(st.text(), st.integers()),
    )
)
def test_every_value_arrives_as_it_is(value: object) -> None:
    """Read as ansible-playbook reads -e: JSON where it begins with a brace, else name=value."""
    given_setting = command("tune.yml", "", {"value": value})[-1]
    read = json.loads(given_setting) if given_setting[0] == "{" else parse_kv(given_setting)
    if isinstance(value, bool | int):
        assert read["value"] == str(value).lower()
    else:
        assert read == {"value": value}


def test_the_command_that_is_shown_is_the_one_that_runs() -> None:
    words = command("my play.yml", "h1,h2", {"study": "it's.yml"})
    assert shlex.split(shown(words)) == words


def test_a_password_is_in_the_environment_and_not_in_what_is_shown() -> None:
    store = "postgresql://tuner:hunter2@db/x"
    assert environment(store)["AUTOTUNE_STORE"] == store
    said = shown(command("tune.yml", "hosts", {}), store)
    assert "hunter2" not in said
    assert said.startswith("AUTOTUNE_STORE=")


@pytest.mark.parametrize("value", ["{{ lookup('pipe', 'id') }}", "{% raw %}", "a{#"])
def test_a_template_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="output: .* has a template in it"):
        command("tune.yml", "hosts", {"output": value})


def test_a_playbook_of_the_collection_is_found() -> None:
    assert playbook("tune") == "playbooks/tune.yml"


def test_a_missing_program_is_one_line() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program is not installed; pip install"):
        runnable(["no-such-program"])
