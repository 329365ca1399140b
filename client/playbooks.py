# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The ansible-playbook command of each playbook: what every other way in runs, and shows before it runs it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from ..plugins.plugin_utils._store import url

COLLECTION = Path(__file__).resolve().parents[1]
_IS_INSTALLED = COLLECTION.parts[-3:] == ("ansible_collections", "autotune", "kernel")
_COLLECTIONS = "ANSIBLE_COLLECTIONS_PATH"
# Without an inventory, Ansible warns in two lines that there is only this machine, which is what is meant.
_QUIET = {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}
_TEMPLATE = re.compile(r"\{[{%#]")
# What ansible-playbook reads as it stands in `-e name=value`.
_PLAIN = re.compile(r"[\w./:@,+%-]+", re.ASCII)


def playbook(name: str) -> str:
    """How ansible-playbook finds a playbook of the collection: by its name, or in a checkout by its path."""
    if _IS_INSTALLED:
        return f"autotune.kernel.{name}"
    path = COLLECTION / "playbooks" / f"{name}.yml"
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def command(play: str, inventory: str | None, settings: Mapping[str, object], *options: str) -> list[str]:
    """The words of the command that runs `play`, a playbook's name or path as ansible-playbook takes it.

    settings: the playbook's; left out are those that are None, and the store, whose password a command line would show
    to others: `environment` takes it. Raises ValueError for one that Ansible would read as a template, and so execute.
    """
    check_no_templates(settings)
    given = {name: value for name, value in settings.items() if value is not None and name != "store"}
    words = [word for name, value in given.items() for word in ("-e", _setting(name, value))]
    return ["ansible-playbook", play, *hosts_of(inventory), *words, *options]


def hosts_of(inventory: str | None) -> list[str]:
    """The options that name the hosts: an inventory's path, or host names with a comma; None is this machine.

    "" is for playbooks that run on the controller alone: an inventory of nothing else, without which Ansible warns
    whoever types the command.

    Ansible's own localhost runs on the controller's Python; one that `-i` names is searched for a Python.
    """
    if inventory is None:
        return ["-e", "target=localhost"]
    return ["-i", inventory or "localhost,"]


def runnable(words: list[str]) -> list[str]:
    """The command with ansible-playbook's path: that of this Python's installation, else that on PATH.

    Raises FileNotFoundError if there is none.
    """
    beside = Path(sys.executable).with_name(words[0])
    found = str(beside) if beside.is_file() else shutil.which(words[0])
    if found is None:
        raise FileNotFoundError(f"{words[0]} is not installed; pip install ansible-core")
    return [found, *words[1:]]


def environment(store: object = None) -> dict[str, str]:
    """What a command gets in its environment. store: its URL, if any."""
    return {**_QUIET, **_needed(store)}


def _needed(store: object) -> dict[str, str]:
    found = {url.VARIABLE: str(store)} if store else {}
    # From elsewhere, learned playbooks do not find a checkout.
    if not (_IS_INSTALLED or Path.cwd() == COLLECTION or _COLLECTIONS in os.environ):
        found[_COLLECTIONS] = f"{COLLECTION / 'playbooks' / 'collections'}:~/.ansible/collections"
    return found


def shown(words: list[str], store: str | None = None) -> str:
    """The command as one types it into a shell, with the environment that it needs, without the store's password."""
    needed = _needed(url.shown(store) if store else None)
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in needed.items()), shlex.join(words)])


def check_no_templates(settings: Mapping[str, object]) -> None:
    """Raises ValueError for a setting that Ansible would read as a template, and so execute."""
    for name, value in settings.items():
        if isinstance(value, str) and _TEMPLATE.search(value):
            raise ValueError(f"{name}: {value!r} has a template in it, which Ansible would execute")


def _setting(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    if isinstance(value, int | float) or (isinstance(value, str) and _PLAIN.fullmatch(value)):
        return f"{name}={value}"
    return json.dumps({name: value if isinstance(value, dict | list) else str(value)}, ensure_ascii=False)


def version() -> str:
    """Of the collection, from galaxy.yml, which an installation from Galaxy has as MANIFEST.json."""
    for name in ("galaxy.yml", "MANIFEST.json"):
        if (COLLECTION / name).is_file():
            content = yaml.safe_load((COLLECTION / name).read_text(encoding="utf-8"))
            return str(content.get("collection_info", content)["version"])
    return "of unknown version"
