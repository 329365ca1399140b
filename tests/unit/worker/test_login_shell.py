from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.autotune.kernel.plugins.plugin_utils._worker.login_shell import AfterMarker, for_any_shell

SHELLS = [
    shell for shell in ("sh", "bash", "dash", "zsh", "ksh", "tcsh", "csh", "fish", "busybox") if shutil.which(shell)
]
ODD = ["it's", '"$HOME"', "a!b !! \\!", "line\nend\n", "\\n \\\\ `id`", "ü %s %% {a,b} * ~ # [x] ^|<>&;()", "\t", ""]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_passes_the_same_words(shell: str) -> None:
    words = ["sh", "-c", 'cat; printf "%s\\0" "$@"; exit 3', "sh", *ODD]
    command = [shell, "sh"] if shell == "busybox" else [shell]
    ran = subprocess.run(
        [*command, "-c", for_any_shell(words, "mark")], input=b"input ", capture_output=True, check=False
    )
    assert ran.stdout.decode() == "mark\ninput " + "".join(f"{word}\0" for word in ODD)
    assert (ran.stderr, ran.returncode) == (b"mark\n", 3)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_output_before_the_marker_is_skipped(size: int) -> None:
    printed = b"welcome mark\r mark x no line endmark\nm: 5\nmark\nlast"
    output = AfterMarker("mark")
    taken = b"".join(output.feed(printed[at : at + size]) for at in range(0, len(printed), size))
    assert taken == b"m: 5\nmark\nlast"
    assert output.leftover() == b""


def test_the_message_of_a_shell_that_runs_no_command_is_kept() -> None:
    output = AfterMarker("mark")
    assert output.feed(b"not available\n") == b""
    assert output.feed(b"x" * 1_000_000) == b""
    assert len(output.leftover()) < 100_000
    assert output.leftover() == b""
