# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.host_session import SessionFailed
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.worker import _study_to_resume


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("true", True),
        ("True", True),
        ("yes", True),
        ("latest", True),
        ("7", 7),
        ("1", 1),
        ("false", False),
        ("", False),
    ],
)
def test_a_study_to_go_on_with_is_named_by_its_id_or_is_the_latest(text: str, wanted: int | bool) -> None:
    assert _study_to_resume(text) is wanted


@pytest.mark.parametrize("text", ["wan", "-1", "0", "1.5", "9" * 19, "9" * 50])
def test_anything_else_is_refused_with_what_can_be_said(text: str) -> None:
    with pytest.raises(SessionFailed, match=r"resume is '.*'; use true for the latest interrupted study"):
        _study_to_resume(text)
