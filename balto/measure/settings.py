"""How programs are measured, wherever they are timed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from balto.arguments import MOST_WORKERS, check_field, check_type
from balto.data.target import Target
from balto.measure.timing import TimingSettings


class Limit(NamedTuple):
    """What a step of measuring may take, as `balto.workers.child.stage` has it.

    Attributes:
        clock_s: by the clock, seconds.
        cpu_s: of the processor, on all cores together, seconds; infinity for no limit.
    """

    clock_s: float
    cpu_s: float = math.inf

    def at_most(self, cpu_s: float) -> Limit:
        """The same with at most so much of the processor, and the clock in proportion.

        Args:
            cpu_s: seconds of the processor.

        Returns:
            The shorter limit.
        """
        if cpu_s >= self.cpu_s:
            return self
        return Limit(self.clock_s * cpu_s / self.cpu_s, cpu_s)


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How programs are built and timed. How many cores they run on, their target says.

    Limits are of processor time, which a machine that does other things too takes no longer for.
    By the clock, `clock_factor` times as much is allowed. A program that runs into that is tried
    once more after the others, before that is its outcome.

    Attributes:
        workers: programs under way at once, each in a process; 0 chooses: by the number of cores
            on this machine, by the number of devices over RPC.
        timing: how precisely programs are timed.
        build_timeout_s: processor time that compiling one program may take, seconds.
        run_timeout_s: processor time that timing one program may take on each of its cores,
            seconds; of a program on a GPU or over RPC, seconds by the clock.
        clock_factor: how many times longer than by the processor building and running may take by
            the clock.
        memory_bytes: address space that a worker may take; 0 for no limit. A worker that uses a
            GPU has none, whatever this says: drivers reserve far more than they use.
        recycle_bytes: a worker whose resident memory has grown past this is replaced.

    Raises:
        InputError: If a value is of the wrong type or out of its range.
    """

    workers: int = 0
    timing: TimingSettings = field(default_factory=TimingSettings)
    build_timeout_s: float = 20.0
    run_timeout_s: float = 10.0
    clock_factor: float = 5.0
    memory_bytes: int = 16 << 30
    recycle_bytes: int = 1 << 30

    def memory_for(self, target: Target) -> int:
        """`memory_bytes` of a worker for a target.

        Args:
            target: of the programs.

        Returns:
            Bytes; 0 for no limit.
        """
        return self.memory_bytes if target.on_cpu else 0

    @property
    def build_limit(self) -> Limit:
        """Of compiling one program."""
        return Limit(self.clock_factor * self.build_timeout_s, self.build_timeout_s)

    def run_limit(self, target: Target) -> Limit:
        """Of timing one program of a target on this machine.

        Args:
            target: of the program.

        Returns:
            By the clock, and of processor time.
        """
        if not target.on_cpu:
            return Limit(self.run_timeout_s)
        cores = target.cores or 1
        return Limit(self.clock_factor * self.run_timeout_s, cores * self.run_timeout_s)

    def __post_init__(self) -> None:
        check_field(self, "workers", 0, MOST_WORKERS, whole=True)
        check_field(self, "memory_bytes", 0, whole=True)
        check_field(self, "recycle_bytes", 1, whole=True)
        for name in ("build_timeout_s", "run_timeout_s"):
            check_field(self, name, 1e-6)
        check_field(self, "clock_factor", 1)
        check_type("timing", self.timing, TimingSettings, "TimingSettings(max_repeats=5)")
