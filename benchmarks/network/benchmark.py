"""Network benchmark: two processes on 127.0.0.1 exchange requests and responses, short and bulk ones, over TCP.

Prints `requests_per_second: value` and `requests_per_cpu_second: value` (per second of CPU time) about every second,
for that second, and at the end for the whole run. Needs only Python and no root. README.md explains what it stresses.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import selectors
import socket
import struct
import time
from collections.abc import Iterator

CONNECTIONS = 8
# Bytes in a response and how many of each in a hundred: interactive answers, pages, and bulk transfers.
RESPONSES = {512: 70, 32 * 1024: 25, 2 * 1024 * 1024: 5}
REQUEST = struct.Struct("!I")  # a request is the number of bytes to return
WARM_UP = 1.0  # seconds


def serve(listener: socket.socket) -> None:
    """Answers every request on every connection, until a connection ends."""
    listener.settimeout(10)  # the requesting process may have exited
    bulk = memoryview(bytes(max(RESPONSES)))
    to_send: dict[socket.socket, int] = {}
    with selectors.DefaultSelector() as selector:
        for dummy in range(CONNECTIONS):
            connection = listener.accept()[0]
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while True:
            for key, events in selector.select():
                connection = key.fileobj
                if events & selectors.EVENT_READ:
                    request = connection.recv(REQUEST.size)
                    if not request:
                        return
                    to_send[connection] = REQUEST.unpack(request)[0]
                try:
                    to_send[connection] -= connection.send(bulk[: to_send[connection]])
                except BlockingIOError:
                    pass
                wanted = selectors.EVENT_WRITE if to_send[connection] else selectors.EVENT_READ
                if wanted != key.events:
                    selector.modify(connection, wanted)


def requests(port: int, generator: random.Random) -> Iterator[int]:
    """Keeps a request in flight on every connection; each step yields the number of responses."""
    sizes = [size for size, count in RESPONSES.items() for dummy in range(count)]
    buffer = bytearray(256 * 1024)
    missing: dict[socket.socket, int] = {}
    orders: dict[socket.socket, Iterator[int]] = {}

    def ask(connection: socket.socket) -> None:
        missing[connection] = next(orders[connection])
        connection.send(REQUEST.pack(missing[connection]))

    with selectors.DefaultSelector() as selector:
        for dummy in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
            orders[connection] = itertools.cycle(generator.sample(sizes, len(sizes)))
            ask(connection)
        while True:
            answered = 0
            for key, dummy in selector.select():
                received = key.fileobj.recv_into(buffer)
                if not received:
                    raise ConnectionError("the serving process ended early")
                missing[key.fileobj] -= received
                if not missing[key.fileobj]:
                    answered += 1
                    ask(key.fileobj)
            yield answered


class Spent:
    """Elapsed time, and CPU time of both processes, since its creation; in seconds."""

    def __init__(self, other_process: int) -> None:
        self._other_process_clock = (
            ~other_process << 3 | 2
        )  # the ID from clock_getcpuclockid(3), which Python does not provide
        self._start = time.monotonic()
        self._cpu_before = self._cpu_clocks()

    def _cpu_clocks(self) -> float:
        return time.process_time() + time.clock_gettime(self._other_process_clock)

    def wall(self) -> float:
        return time.monotonic() - self._start

    def cpu(self) -> float:
        return self._cpu_clocks() - self._cpu_before

    def print_rates(self, answered: int) -> None:
        print(f"requests_per_second: {answered / self.wall():.1f}")
        print(f"requests_per_cpu_second: {answered / self.cpu():.1f}", flush=True)


def measure(work: Iterator[int], other_process: int, duration: float) -> None:
    """Steps through the work for `duration` seconds and prints its rates."""
    warming = Spent(other_process)
    while warming.wall() < min(WARM_UP, duration):
        next(work)
    run = second = Spent(other_process)
    total = in_second = 0
    while run.wall() < duration:
        in_second += next(work)
        if second.wall() >= 1:
            second.print_rates(in_second)
            total, in_second, second = total + in_second, 0, Spent(other_process)
    run.print_rates(total + in_second)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duration", type=float, default=10, help="seconds measured, after warming up (default: 10)")
    parser.add_argument(
        "--seed", type=int, default=1, help="determines the order of short and bulk requests (default: 1)"
    )
    arguments = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        port = listener.getsockname()[1]
        server = os.fork()
        if server == 0:
            try:
                serve(listener)
            except OSError:
                pass  # the requesting process has exited
            finally:
                os._exit(0)
    try:
        measure(requests(port, random.Random(arguments.seed)), server, arguments.duration)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: the connections over 127.0.0.1 failed: {error}\n")


if __name__ == "__main__":
    main()
