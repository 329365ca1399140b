# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""No path leads out of the server's root, however it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.autotune.kernel.client.mcp_site import LIBRARY, PathRefused, Site
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a study, beside a folder with a secret."""
    (tmp_path / "root/studies").mkdir(parents=True)
    (tmp_path / "root/studies/study.yml").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.yml").write_text("password: hunter2\n")
    return tmp_path / "root"


@pytest.fixture
def site(root: Path) -> Site:
    return Site.of(str(root), "learned", None)


@pytest.mark.parametrize("text", ["studies/study.yml", "./studies/../studies/study.yml", "{root}/studies/study.yml"])
def test_a_path_inside_is_found(site: Site, root: Path, text: str) -> None:
    assert site.study(text.format(root=root)) == root / "studies/study.yml"


def test_studies_of_the_collection_are_found(site: Site) -> None:
    study = LIBRARY / "memory/study.yml"
    assert site.study(str(study)) == study.resolve()
    with pytest.raises(PathRefused, match="outside"):
        site.path(str(study))


@pytest.mark.parametrize(
    "text",
    ["../outside/secret.yml", "studies/../../outside/secret.yml", "{root}/../outside/secret.yml", "/etc/passwd", "/"],
)
def test_a_path_outside_is_refused(site: Site, root: Path, text: str) -> None:
    for found in (site.path, site.study):
        with pytest.raises(PathRefused, match="is outside"):
            found(text.format(root=root))


def test_a_link_out_is_refused_and_one_within_is_followed(site: Site, root: Path) -> None:
    (root / "file.yml").symlink_to(root.parent / "outside/secret.yml")
    (root / "folder").symlink_to(root.parent / "outside")
    (root / "loop").symlink_to(root / "loop")
    (root / "within.yml").symlink_to(root / "studies/study.yml")
    for text in ("file.yml", "folder/secret.yml", "folder", "studies/../folder/secret.yml"):
        with pytest.raises(PathRefused, match="is outside"):
            site.path(text)
    with pytest.raises(PathRefused):
        site.path("loop")
    assert site.study("within.yml") == root / "studies/study.yml"


def test_nobody_learns_what_exists_outside(site: Site) -> None:
    said = []
    for name in ("secret.yml", "nothing.yml"):
        with pytest.raises(PathRefused) as refused:
            site.path(f"../outside/{name}")
        said.append(str(refused.value).replace(name, "X"))
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["a,b", "{{ lookup('pipe','id') }}", "{% x %}", "{# x #}", "a\nb", "a\x1bb"])
def test_what_ansible_reads_as_something_else_is_refused(site: Site, root: Path, name: str) -> None:
    (root / name.replace("/", "")).touch()
    with pytest.raises(PathRefused, match="character that Ansible reads") as refused:
        site.path(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "nothing.yml", "a\0b", "\ud800", "x" * 5000])
def test_an_unusable_path_is_refused_in_one_line(site: Site, text: str) -> None:
    with pytest.raises(PathRefused) as refused:
        site.path(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("workload", ["..", "../outside", "/etc", "", "Wan", "a b", "wan\n"])
def test_only_a_workload_has_results(site: Site, workload: str) -> None:
    with pytest.raises(PathRefused, match="not the name of a workload"):
        site.learned(workload)


def test_results_that_are_linked_elsewhere_are_refused(site: Site, root: Path) -> None:
    (root / "learned").mkdir()
    (root / "learned/wan").symlink_to(root.parent / "outside")
    with pytest.raises(PathRefused, match="is outside"):
        site.learned("wan")


@given(st.lists(st.sampled_from(["..", ".", "studies", "link", "study.yml", "", "outside", "/"]), max_size=8))
def test_nothing_leads_outside(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    base = tmp_path_factory.mktemp("site")
    (base / "root/studies").mkdir(parents=True)
    (base / "root/studies/study.yml").touch()
    (base / "root/link").symlink_to(base)
    site = Site.of(str(base / "root"), "learned", None)
    try:
        found = site.path(os.sep.join(parts))
    except PathRefused:
        return
    assert found.is_relative_to(base / "root")
    assert found == found.resolve()


def test_the_output_folder_must_be_inside(root: Path) -> None:
    with pytest.raises(PathRefused, match="is outside"):
        Site.of(str(root), "../outside", None)
    with pytest.raises(PathRefused, match="is not a folder"):
        Site.of(str(root / "nothing"), "learned", None)


@pytest.mark.parametrize(
    ("store", "url", "beside"),
    [
        (None, "sqlite:///{root}/learned/autotune.sqlite", "learned"),
        ("own/a.sqlite", "sqlite:///{root}/own/a.sqlite", "own"),
        ("postgresql://u:p@db/x", "postgresql://u:p@db/x", "learned"),
        ("nonsense://", "nonsense://", "learned"),
    ],
)
def test_the_audit_log_lies_beside_the_store(root: Path, store: str | None, url: str, beside: str) -> None:
    site = Site.of(str(root), "learned", store)
    assert site.store == url.format(root=root)
    assert site.beside_store == root / beside
    assert (site.store == f"sqlite:///{site.output / 'autotune.sqlite'}") == (store is None)
