# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a study says about its hosts' safety: when an evaluation is to be ended, and how far candidates may go."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_serializer

from .parameters import Strict

# YAML reads `off` as false.
_OrOff = BeforeValidator(lambda limit: None if limit is False else limit)
Count = Annotated[int | None, _OrOff]
Share = Annotated[float | None, _OrOff]


class Guard(Strict):
    """Limits for the time of an evaluation. Past one of them the benchmark is ended at once, the host gets its own
    values back, and the candidate counts as failed. `off` switches a limit off (here it is None then).

    | key | what is seen on the host | default |
    |---|---|---|
    | oom_kills | processes killed for want of memory: more than this many | 0 |
    | kernel_log | a hung task, an oops or a lockup in the kernel log | true |
    | memory_pressure | per cent of 3 seconds in which no task got on for want of memory: more than this | 60 |
    | io_pressure | the same for disks; a benchmark that does nothing but wait for one disk comes close | 99 |
    | free_memory | available memory in per cent of all: less than this | 2 |
    | health_command | a command that ends with another exit code than 0, or not within `health_timeout` (2 s) | none |

    The first five are what the machine's kernel counts, whoever is the cause. The health command runs twice a second
    where the benchmark runs, in its folder and with its environment.
    """

    oom_kills: Count = Field(default=0, ge=0)
    kernel_log: bool = True
    memory_pressure: Share = Field(default=60, ge=0, le=100)
    io_pressure: Share = Field(default=99, ge=0, le=100)
    free_memory: Share = Field(default=2, ge=0, lt=100)
    health_command: str | None = None
    health_timeout: float = Field(default=2, gt=0, le=60)

    @model_serializer
    def _as_it_is_written(self) -> dict[str, Any]:
        """With its `off`s, which whoever leaves out what is None would lose."""
        limits = {name: getattr(self, name) for name in type(self).model_fields if name != "health_command"}
        written = {name: False if limit is None else limit for name, limit in limits.items()}
        return written | ({"health_command": self.health_command} if self.health_command else {})


class Caution(Strict):
    """`exploration: cautious`: how far from what is known to be safe a candidate may be, and what counts as harm.

    step: per cent of a parameter's range by which a candidate may go beyond what did no harm.
    harm: per cent; an evaluation this much worse than the host's baseline did harm, as did one that failed.
    """

    step: float = Field(default=5, gt=0, le=100)
    harm: float = Field(default=10, gt=0, lt=100)
