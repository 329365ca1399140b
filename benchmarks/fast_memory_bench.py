"""Memory benchmark of two seconds, for a first try: touches anonymous pages and dirties pages of a file.

Prints `operations_per_second: value`; an operation touches one page of 4 KiB. For tuning in earnest, take memory/.
"""

from __future__ import annotations

import mmap
import os
import random
import tempfile
import time

PAGE = 4096
SIZE = 64 * 2**20
SECONDS = 2.0


def main() -> None:
    generator = random.Random(1)
    with tempfile.TemporaryFile(dir=os.environ.get("TMPDIR", "/var/tmp")) as file, mmap.mmap(-1, SIZE) as anonymous:  # noqa: S108
        file.truncate(SIZE)
        page, operations, start = generator.randbytes(PAGE), 0, time.monotonic()
        while time.monotonic() < start + SECONDS:
            for dummy in range(256):
                offset = generator.randrange(SIZE // PAGE) * PAGE
                anonymous[offset : offset + PAGE] = page
                os.pwrite(file.fileno(), page, offset)
            part = generator.randrange(16) * (SIZE // 16)
            anonymous.madvise(mmap.MADV_DONTNEED, part, SIZE // 16)
            operations += 512
        print(f"operations_per_second: {operations / (time.monotonic() - start):.1f}")


if __name__ == "__main__":
    main()
