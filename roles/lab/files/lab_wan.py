# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The WAN of a lab host: lab_wan.py DIRECTORY NAME HOST_PID, started by lab.py in the peer's network namespace.

A link between two TUN devices, one moved into the host, one kept for the peer, and the peer's iperf3 server. Both ways
alike: losses from a trace, a queue that empties at the link's rate and drops what it has no room for, then half the
round trip's delay. The trace of losses starts again after each pause of the link, so that every run of a benchmark
meets the same losses. It ends when the host does; its devices end with it.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import itertools
import json
import math
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import lab_sysctls

# The busy link works in ticks, so that its cost is a wake-up a tick instead of one a packet.
TICK = 0.001
# A link that carried nothing for so long (s) plays its trace of losses from the start: longer than a transfer on a busy
# machine is silent, shorter than the time between two runs of a benchmark.
PAUSE = 0.3
# More than comes in a tick, unless a sender ignores all limits: it must not keep the link from letting packets out.
BATCH = 1000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PORT = 5201
# Room for any burst before the link's own queue, which is the only one that may drop.
TRANSMIT_QUEUE = "20000"


def losses(share: float, seed: str) -> Iterator[float]:
    """The trace: which packets to lose, counted from 0; of every 1/share packets one, at random in their middle half.

    As many as independent draws would lose, but more evenly, so that one seed's trace is much like another's. Two
    losses are never close: where the second hits what is sent again for the first, milliseconds decide whether the
    sender runs into its timeout, and a benchmark has two results.
    """
    if not share:
        yield math.inf
    luck = random.Random(seed)
    for block in itertools.count():
        yield math.floor((block + luck.uniform(0.25, 0.75)) / share)


class Way:
    """One way through the link, from one device to the other."""

    def __init__(self, source: int, sink: int, wan: dict[str, float], seed: str) -> None:
        self.source, self.sink = source, sink
        self.delay = wan["delay_ms"] / 2000
        self.seconds_per_byte = 8e-6 / wan["rate_mbit"]
        self.room = wan["queue_ms"] / 1000
        self.loss, self.seed = wan["loss_percent"] / 100, seed
        self.replay()
        self.free_at = 0.0  # when the link will have sent all that is in the queue
        self.in_flight: deque[tuple[float, bytes]] = deque()  # (when it comes out, packet), in order

    def replay(self) -> None:
        """Play the trace of losses from its start."""
        self.losses = losses(self.loss, self.seed)
        self.next_loss = next(self.losses)
        self.count = 0

    def take_in(self, arrived: float) -> None:
        read, source, append = os.read, self.source, self.in_flight.append
        delay, per_byte, count, next_loss = self.delay, self.seconds_per_byte, self.count, self.next_loss
        free_at, full = max(self.free_at, arrived), arrived + self.room
        try:
            for dummy in range(BATCH):
                packet = read(source, 2048)
                count += 1
                if count > next_loss:
                    next_loss = next(self.losses)
                elif free_at <= full:
                    free_at += len(packet) * per_byte
                    append((free_at + delay, packet))
        except BlockingIOError:
            pass
        self.free_at, self.count, self.next_loss = free_at, count, next_loss

    def let_out(self, now: float) -> None:
        in_flight, write, sink = self.in_flight, os.write, self.sink
        while in_flight and in_flight[0][0] <= now:
            try:
                write(sink, in_flight.popleft()[1])
            except OSError as error:
                if error.errno != errno.EIO:  # EIO: the device is down, as a cable that is not plugged in
                    raise


def carry(ways: list[Way]) -> None:
    """Move packets until a device has gone."""
    monotonic, sleep = time.monotonic, time.sleep
    poll = select.poll()
    for way in ways:
        poll.register(way.source, select.POLLIN)
    looked = monotonic()
    while True:
        now = monotonic()
        for way in ways:
            way.take_in(looked)
            way.let_out(now)
        if any(way.in_flight for way in ways):
            looked = now
            sleep(TICK)
        else:
            poll.poll()
            looked = monotonic()
            if looked - now > PAUSE:
                for way in ways:
                    way.replay()


def open_device(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Server:
    """The peer's iperf3 server, started again when it ends: it gives up after a few clients that went away."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    def start(self, *dummy: object) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None and time.monotonic() - self.started < 1:
            sys.exit("the peer's iperf3 server exits at once")
        # It must not outlive this process, however that ends, and must not wait for long for a client that was cut off.
        command = f"setpriv --pdeathsig KILL iperf3 --server --port {PORT} --rcv-timeout 5000 --idle-timeout 60"
        self.process = subprocess.Popen(command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.started = time.monotonic()


def main(directory: Path, name: str, host: str) -> None:
    spec = json.loads((directory / name / "wan.json").read_text(encoding="utf-8"))
    devices = [open_device("wan"), open_device("peer")]
    inside_host = ["nsenter", "--target", host, "--net"]
    for place, device, address, other in (
        (inside_host, "wan", spec["host_address"], spec["peer_address"]),
        ([], "peer", spec["peer_address"], spec["host_address"]),
    ):
        if place:
            subprocess.run(["ip", "link", "set", device, "netns", host], check=True)
        subprocess.run([*place, "ip", "address", "add", address, "peer", other, "dev", device], check=True)
        subprocess.run([*place, "ip", "link", "set", device, "txqueuelen", TRANSMIT_QUEUE, "up"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    lab_sysctls.put(spec["peer_baseline"])
    # The link is hardware to its users: it must keep time however busy the machine is.
    os.setpriority(os.PRIO_PROCESS, 0, -15)
    server = Server()
    signal.signal(signal.SIGCHLD, server.start)
    server.start()
    gc.disable()  # nothing here makes cycles, and a collection would be a hiccup of the link
    ways = [
        Way(source, sink, spec["wan"], f"{spec['seed']} {name}")
        for name, (source, sink) in (("out", devices), ("back", list(reversed(devices))))
    ]
    try:
        carry(ways)
    except OSError as error:
        sys.exit(f"the host or its WAN device is gone: {error.strerror}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
