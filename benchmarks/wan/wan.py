# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Measures how fast this host sends over a wide-area link, or receives, with the iperf3 server at $WAN_SERVER.

Prints the throughput of each second as it passes, then the sender's retransmits, then the mean that reached the
receiver. Ends with 2 when something is missing here, with 1 when the run fails, and one line on stderr either way.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time

METRIC = "throughput_mbit_per_second"
# [  5]   1.00-2.00   sec  4.38 MBytes  36698 Kbits/sec    2   1.95 MBytes
# [SUM]   0.00-4.00   sec  16.2 MBytes  34012 Kbits/sec  1825             sender
LINE = re.compile(
    r"\[ *(?P<stream>\d+|SUM)\] .* sec .*Bytes +(?P<kbit>\d+) Kbits/sec(?: +(?P<retransmits>\d+))?"
    r".*?(?P<what>sender|receiver)?\s*$"
)
# How a server answers that has not yet noticed, or has just noticed, that its last client was killed.
BUSY = ("the server is busy running a test. try again later", "Connection reset by peer")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="length of the run (%(default)s)")
    parser.add_argument("--streams", type=int, default=1, help="parallel connections (%(default)s)")
    parser.add_argument("--receive", action="store_true", help="receive from the server instead of sending to it")
    parser.add_argument("--congestion", help="congestion control of the sender (that of its kernel)")
    parser.add_argument("--port", type=int, default=5201, help="the server's port (%(default)s)")
    return parser.parse_args()


def forget_earlier_runs() -> None:
    """Clears what the kernel remembers about round trips and reordering, so that each run starts afresh; needs root."""
    if shutil.which("ip"):
        subprocess.run(["ip", "tcp_metrics", "flush"], check=False, stdin=subprocess.DEVNULL, capture_output=True)


def mbit(kbit: str) -> str:
    return f"{int(kbit) / 1000:.3f}"


def measure(command: list[str], streams: int) -> str | None:
    """Run iperf3 once, printing as it goes, and return its error, if any."""
    received = retransmits = None
    error, begun = None, False
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as iperf3:
        for text in iperf3.stdout or ():
            if text.startswith("iperf3: "):
                error = text.strip()
            line = LINE.match(text)
            if line is None or line["stream"].isdigit() != (streams == 1):  # of several streams, only their sum counts
                continue
            begun = True
            if line["what"] is None:
                print(f"{METRIC}: {mbit(line['kbit'])}", flush=True)
            elif line["what"] == "sender":
                retransmits = line["retransmits"]
            elif line["what"] == "receiver":
                received = mbit(line["kbit"])
    if iperf3.returncode != 0 or received is None:
        error = error or f"iperf3 ended with {iperf3.returncode} and no result"
        return f"{error}, in the middle of the run" if begun else error
    if retransmits is not None:
        print(f"retransmits: {retransmits}")
    print(f"{METRIC}: {received}", flush=True)
    return None


def main() -> int:
    arguments = read_arguments()
    server = os.environ.get("WAN_SERVER")
    if not server:
        print("WAN_SERVER is not set: give the host benchmark_environment: {WAN_SERVER: address}", file=sys.stderr)
        return 2
    if shutil.which("iperf3") is None:
        print("iperf3 is not installed on this host", file=sys.stderr)
        return 2
    forget_earlier_runs()
    command = ["iperf3", "--client", server, "--port", str(arguments.port), "--connect-timeout", "5000"]
    command += ["--time", str(arguments.seconds), "--parallel", str(arguments.streams)]
    command += ["--interval", "1", "--format", "k", "--forceflush"]  # in Mbit/s it prints three digits
    command += ["--reverse"] if arguments.receive else []
    command += ["--congestion", arguments.congestion] if arguments.congestion else []
    command += ["--length", "16K"]  # larger buffers would make the seconds look uneven
    # The server serves one client at a time, and takes a while to notice that its last client was killed.
    patience = time.monotonic() + 10
    while (error := measure(command, arguments.streams)) and error.endswith(BUSY):
        if time.monotonic() > patience:
            break
        time.sleep(0.5)
    if error:
        print(f"{server}: {error}", file=sys.stderr)
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
