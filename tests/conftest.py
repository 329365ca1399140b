from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# As the trainer has it: threads that wait for each other on a busy machine take minutes for what takes a second.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine makes no test fail: examples may take as long as they take.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Import torch before anything of Ansible's, which replaces sys.intern: torch's optimisers do not survive that.

    It takes seconds, in each process, and only the unit tests need it.
    """
    unit = Path(__file__).with_name("unit")
    given = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    if any(unit.is_relative_to(path) or path.is_relative_to(unit) for path in given):
        import torch._dynamo  # noqa: F401


# Files that take minutes. One that starts last keeps a single process busy while the others have nothing left to do.
_LONGEST_FIRST = [
    "test_faults", "test_tune", "test_ways_in", "test_learned_role", "test_pages", "test_workloads", "test_resume",
    "test_preflight", "test_lab_run", "test_gate", "test_lease", "test_become", "test_mcp", "test_live",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(autouse=True)
def _beside_others(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests run side by side (`./dev test`), and so may two test runs on one machine.

    One marked `alone` waits at the turnstile until it has the machine to itself, so that nobody begins before it who
    came later. Of those marked `this_machine` one runs at a time.
    """
    place = f"{tempfile.gettempdir()}/autotune-tests-{os.getuid()}"
    with (
        open(f"{place}-turnstile", "w") as turnstile,
        open(f"{place}-machine", "w") as machine,
        open(f"{place}-lease", "w") as lease,
    ):
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        if request.node.get_closest_marker("this_machine"):
            fcntl.flock(lease, fcntl.LOCK_EX)
        yield
        fcntl.flock(lease, fcntl.LOCK_UN)
        fcntl.flock(machine, fcntl.LOCK_UN)  # and not only closed: what a test forked may have it open as well


@dataclass
class PostgreSQL:
    """A server of the tests' own, in a folder of its own, on 127.0.0.1 alone; stop() and start() as often as wanted."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    password = "s3cret-of-the-tests"  # noqa: S105 (of a server that lives for minutes)

    @property
    def url(self) -> str:
        return f"postgresql://tuner:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        settings = [f"--{name}={value}" for name, value in {**options, "timezone": "Asia/Tokyo"}.items()]
        with (self.folder / "log").open("ab") as log:
            command = [*as_nobody(), str(postgresql_bin() / "postgres"), "-D", str(self.folder / "data")]
            self.process = subprocess.Popen([*command, f"--port={self.port}", *settings], stdout=log, stderr=log)
        limit = time.monotonic() + 180
        ready = [str(postgresql_bin() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert time.monotonic() < limit, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, as when its machine is switched off."""
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(180)


def postgresql_bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("takes PostgreSQL: ./dev test installs it")
    return found[-1]


def as_nobody() -> list[str]:
    """PostgreSQL does not run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Leave it running."""
    with tempfile.TemporaryDirectory(prefix="autotune-postgresql-") as name, socket.socket() as free:
        folder = Path(name)
        free.bind(("127.0.0.1", 0))
        server = PostgreSQL(folder, free.getsockname()[1])
        free.close()
        (folder / "password").write_text(server.password)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "nobody", "nogroup")
        initdb = [str(postgresql_bin() / "initdb"), "-D", str(folder / "data"), "--auth=scram-sha-256", "--no-sync"]
        given = ["--username=tuner", f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*as_nobody(), *initdb, *given], check=True, stdout=subprocess.DEVNULL, cwd="/")
        server.start()
        yield server
        server.stop()
