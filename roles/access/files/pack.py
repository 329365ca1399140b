# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pack the gate into one file, on the controller: pack.py FILE PYTHON

The file is an archive with the collection's module_utils, uncompressed, so that it can be read as it lies there, behind
a line that names the Python to run it. Same sources, same file, byte by byte; its SHA-256 is printed.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[3] / "plugins/module_utils"
PACKAGE = "ansible_collections.autotune.kernel.plugins.module_utils"
MAIN = f"from {PACKAGE} import _gate\n_gate.main()\n"


def packed(python: str) -> bytes:
    """The gate's file. -I: nothing of the caller's environment or folder is imported; -S: nothing of site-packages."""
    folders = ["/".join(PACKAGE.split(".")[: depth + 1]) for depth in range(PACKAGE.count(".") + 1)]
    files = {"__main__.py": MAIN.encode(), **{f"{folder}/__init__.py": b"" for folder in folders}}
    files |= {f"{folders[-1]}/{source.name}": source.read_bytes() for source in sorted(SOURCES.glob("_*.py"))}
    content = io.BytesIO()
    content.write(f"#!{python} -IS\n".encode())
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # of 1980: no file's time gets in
    return content.getvalue()


if __name__ == "__main__":
    program = packed(sys.argv[2])
    Path(sys.argv[1]).write_bytes(program)
    print(hashlib.sha256(program).hexdigest())
