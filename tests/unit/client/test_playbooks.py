# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import shlex

import pytest
from ansible.parsing.splitter import parse_kv
from ansible_collections.autotune.kernel.client.playbooks import command, playbook, runnable, shown
from hypothesis import given
from hypothesis import strategies as st


def test_a_command_names_its_playbook_hosts_and_settings() -> None:
    words = command("tune.yml", "hosts.yml", {"study": "a.yml", "seed": 0, "dry_run": True, "store": None})
    assert shown(words) == "ansible-playbook tune.yml -i hosts.yml -e study=a.yml -e seed=0 -e dry_run=true"


def test_without_an_inventory_it_is_this_machine() -> None:
    assert command("tune.yml", None, {})[2:] == ["-e", "target=localhost"]
    assert command("new.yml", "", {}) == ["ansible-playbook", "new.yml"]


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.dictionaries(st.text(), st.integers())))
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


def test_a_playbook_of_the_collection_is_found() -> None:
    assert playbook("tune") == "playbooks/tune.yml"


def test_a_missing_program_is_one_line() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program is not installed; pip install"):
        runnable(["no-such-program"])
