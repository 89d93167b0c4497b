"""How programs are measured, wherever they are timed."""

from __future__ import annotations

from dataclasses import dataclass, field

from balto.arguments import check_field, check_type
from balto.data.target import Target
from balto.measure.timing import TimingSettings

#: Programs under way at once, at most.
MOST_WORKERS = 10_000


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How programs are built and timed. How many cores they run on, their target says.

    Attributes:
        workers: programs under way at once, each in a process; 0 chooses: by the number of cores
            on this machine, by the number of devices over RPC.
        timing: how precisely programs are timed.
        build_timeout_s: deadline of compiling one program.
        run_timeout_s: deadline of timing one program.
        memory_bytes: address space that a worker may take; 0 for no limit. A worker that uses a
            GPU has none, whatever this says: drivers reserve far more than they use.
        recycle_bytes: a worker whose resident memory has grown past this is replaced.

    Raises:
        InputError: a value that cannot be.
    """

    workers: int = 0
    timing: TimingSettings = field(default_factory=TimingSettings)
    build_timeout_s: float = 20.0
    run_timeout_s: float = 10.0
    memory_bytes: int = 16 << 30
    recycle_bytes: int = 1 << 30

    def memory_for(self, target: Target) -> int:
        """`memory_bytes` of a worker for a target."""
        return self.memory_bytes if target.on_cpu else 0

    def __post_init__(self) -> None:
        check_field(self, "workers", 0, MOST_WORKERS, whole=True)
        check_field(self, "memory_bytes", 0, whole=True)
        check_field(self, "recycle_bytes", 1, whole=True)
        for name in ("build_timeout_s", "run_timeout_s"):
            check_field(self, name, 1e-6)
        check_type("timing", self.timing, TimingSettings, "TimingSettings(max_repeats=5)")
