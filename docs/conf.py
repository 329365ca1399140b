# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sphinx's settings. `./dev docs` builds a copy of this folder, with the plugins' own documentation beside it."""

from __future__ import annotations

project = "autotune.kernel"
copyright = "2026, autotune.kernel contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
# antsibull-docs writes files to be included, and names pages that only Ansible's own documentation has.
exclude_patterns = ["figures"]
suppress_warnings = ["myst.header"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = project
