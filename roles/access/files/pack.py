# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pack the gate into one file, on the controller: pack.py FILE PYTHON

The file is an archive of the collection's module_utils, after a line that names the Python to run it. It is not
compressed, so that it can be read as it is. The same sources yield the same bytes; their SHA-256 is printed.
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
    """The gate's file. -I: ignore the caller's environment and folder; -S: ignore site-packages."""
    folders = ["/".join(PACKAGE.split(".")[: depth + 1]) for depth in range(PACKAGE.count(".") + 1)]
    files = {"__main__.py": MAIN.encode(), **{f"{folder}/__init__.py": b"" for folder in folders}}
    files |= {f"{folders[-1]}/{source.name}": source.read_bytes() for source in sorted(SOURCES.glob("_*.py"))}
    content = io.BytesIO()
    content.write(f"#!{python} -IS\n".encode())
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # dated 1980, whatever the file's time
    return content.getvalue()


if __name__ == "__main__":
    gate = packed(sys.argv[2])
    Path(sys.argv[1]).write_bytes(gate)
    print(hashlib.sha256(gate).hexdigest())
