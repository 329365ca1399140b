"""Memory and I/O benchmark: pages of a mapped file are read, anonymous pages written, file pages dirtied and synced.

One operation touches one page of 4 KiB. Prints `operations_per_second: value` about every second, for that second, and
at the end for the whole run. Needs only Python and no root. README.md explains what it stresses.
"""

from __future__ import annotations

import argparse
import itertools
import mmap
import os
import random
import tempfile
import time
from collections.abc import Iterator

PAGE = 4096
MEBIBYTE = 1024 * 1024
READ_FILE = 96 * MEBIBYTE
WRITTEN_FILE = 64 * MEBIBYTE
ANONYMOUS = 96 * MEBIBYTE
READS, TOUCHES, WRITES = 600, 300, 100  # pages in a round
ROUNDS_BETWEEN_SYNCS = 16
ROUNDS_BETWEEN_RELEASES = 8
WARM_UP = 1.0  # seconds


def zipf_offsets(generator: random.Random, size: int, count: int) -> list[int]:
    """Offsets of pages in `size` bytes: few pages are hot, most are cold, and the hot ones are scattered."""
    pages = list(range(size // PAGE))
    generator.shuffle(pages)
    weights = itertools.accumulate(1 / rank for rank in range(1, len(pages) + 1))
    return [page * PAGE for page in generator.choices(pages, cum_weights=list(weights), k=count)]


def in_rounds(offsets: list[int], size: int) -> Iterator[list[int]]:
    """The offsets in lists of `size`, again and again from the start."""
    return itertools.cycle([offsets[start : start + size] for start in range(0, len(offsets), size)])


def rounds(generator: random.Random, folder: str) -> Iterator[int]:
    """Does a round of work at each step and yields the number of pages touched.

    The files have no name, so nothing of them is left in the folder, however this process ends.
    """
    with (
        tempfile.TemporaryFile(dir=folder) as read_file,
        tempfile.TemporaryFile(dir=folder) as written_file,
        mmap.mmap(-1, ANONYMOUS) as anonymous,
    ):
        content = generator.randbytes(MEBIBYTE)
        for file, size in ((read_file, READ_FILE), (written_file, WRITTEN_FILE)):
            for dummy in range(size // MEBIBYTE):
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        reads = in_rounds(zipf_offsets(generator, READ_FILE, 200 * READS), READS)
        touches = in_rounds(zipf_offsets(generator, ANONYMOUS, 200 * TOUCHES), TOUCHES)
        writes = in_rounds(zipf_offsets(generator, WRITTEN_FILE, 200 * WRITES), WRITES)
        written = written_file.fileno()
        with mmap.mmap(read_file.fileno(), READ_FILE, prot=mmap.PROT_READ) as mapped:
            for number in itertools.count(1):
                page = content[:PAGE]
                for offset in next(reads):
                    page = mapped[offset : offset + PAGE]
                for offset in next(touches):
                    anonymous[offset : offset + PAGE] = page
                for offset in next(writes):
                    os.pwrite(written, page, offset)
                if number % ROUNDS_BETWEEN_RELEASES == 0:
                    # Releasing a part makes the kernel find, clear and map pages again, as for programs that allocate.
                    part = generator.randrange(0, ANONYMOUS, ANONYMOUS // 16)
                    anonymous.madvise(mmap.MADV_DONTNEED, part, ANONYMOUS // 16)
                if number % ROUNDS_BETWEEN_SYNCS == 0:
                    os.fdatasync(written)
                yield READS + TOUCHES + WRITES


def print_rate(operations: int, seconds: float) -> None:
    print(f"operations_per_second: {operations / seconds:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duration", type=float, default=10, help="seconds measured, after warming up (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="determines which pages are hot (default: 1)")
    parser.add_argument(
        "--folder",
        default=os.environ.get("TMPDIR", "/var/tmp"),  # noqa: S108 (/tmp is often in memory: nothing to write back)
        help="folder for the files, on a disk (default: TMPDIR or /var/tmp)",
    )
    arguments = parser.parse_args()
    try:
        measure(rounds(random.Random(arguments.seed), arguments.folder), arguments.duration)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: cannot work in {arguments.folder}: {error.strerror}\n")


def measure(work: Iterator[int], duration: float) -> None:
    """Steps through the work for `duration` seconds and prints its rate."""
    warm = time.monotonic() + min(WARM_UP, duration)
    while time.monotonic() < warm:
        next(work)
    start = second_start = now = time.monotonic()
    total = in_second = 0
    while now < start + duration:
        in_second += next(work)
        now = time.monotonic()
        if now >= second_start + 1:
            print_rate(in_second, now - second_start)
            total, in_second, second_start = total + in_second, 0, now
    print_rate(total + in_second, now - start)


if __name__ == "__main__":
    main()
