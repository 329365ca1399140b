# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The service that a workload stresses: started on the tuned host, and restarted where a parameter needs that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .benchmark import Benchmark, BenchmarkFailed


class Service:
    """One workload's service on one host.

    commands: the tuned host's private folder, from which `start` and `stop` run; nothing else runs there. restarting:
    the parameters that the service reads only when it starts.
    """

    def __init__(self, commands: Benchmark, start: str, stop: str | None, restarting: Sequence[str]) -> None:
        self._commands, self._start, self._stop, self._restarting = commands, start, stop, restarting
        self._started_with: dict[str, str] | None = None  # None: not running

    def require(self, applied: Mapping[str, str], is_cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Have it run with these values of the host; whether it had to be started for that.

        Raises BenchmarkFailed, whose message begins with the command that failed, or ConnectionLost.
        """
        wanted = self._wanted(applied)
        if self._started_with == wanted:
            return False
        self.end_unless(applied)
        try:
            self._commands.start_daemons(self._start, is_cancelled)
        except BenchmarkFailed as error:
            self._commands.kill_leftovers()
            raise BenchmarkFailed(f"the command `start` {error}") from None
        self._started_with = wanted
        return True

    def remove(self) -> None:
        """Stop it and remove its folder. Raises as `require`."""
        try:
            self.end()
        finally:
            self._commands.remove()

    def end_unless(self, applied: Mapping[str, str]) -> bool:
        """Stop it, if it runs with other values than these; whether it did. Raises as `require`."""
        return self._started_with != self._wanted(applied) and self.end()

    def _wanted(self, applied: Mapping[str, str]) -> dict[str, str]:
        return {name: applied[name] for name in self._restarting if name in applied}

    def end(self) -> bool:
        """Stop it, if it runs; whether it did. Raises as `require`."""
        if self._started_with is None:
            return False
        self._started_with = None
        try:
            if self._stop:
                self._commands.run_once(self._stop)
        except BenchmarkFailed as error:
            raise BenchmarkFailed(f"the command `stop` {error}") from None
        finally:
            self._commands.kill_leftovers()
        return True
