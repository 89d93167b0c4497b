"""What measuring one program gave: a status with advice, and seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a measurement ended. `advice` says what a person can do about it."""

    OK = "ok"
    BUILD_ERROR = "build_error"
    BUILD_TIMEOUT = "build_timeout"
    RUN_ERROR = "run_error"
    RUN_TIMEOUT = "run_timeout"
    CRASH = "crash"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_DEAR = "too_dear"

    @property
    def advice(self) -> str:
        """One line for people."""
        return _ADVICE[self]


#: The label that a program counts as whose build was ended as too dear: in recorded pools, the
#: middle one of those whose builds took more than 2 s.
SLOW = 0.2
_ADVICE = {
    Status.OK: "compiled, ran and was timed",
    Status.BUILD_ERROR: "TVM refused to compile it; common for programs that exceed a device limit",
    Status.BUILD_TIMEOUT: "compiling took too long; if many do, set --measure build_timeout=60",
    Status.RUN_ERROR: "it compiled, but raised an error when run",
    Status.RUN_TIMEOUT: "running took too long; if many do, set --measure run_timeout=60",
    Status.CRASH: "it killed its process; that program is left out, the worker was replaced",
    Status.OUT_OF_MEMORY: "it needed more memory than a worker may; set --measure memory=BYTES",
    Status.TOO_DEAR: "compiling took far longer than foretold and was ended; it counts as slow",
}


@dataclass(frozen=True)
class Outcome:
    """The result of building and timing one program.

    Attributes:
        status: how it ended.
        latency_s: seconds of one run, the smallest of the repeats; NaN unless ``ok``.
        latency_median_s: seconds of one run, the median of the repeats; NaN unless ``ok``.
        build_s: seconds to compile; NaN where unknown.
        measure_s: wall-clock seconds to load, warm up and time; NaN where unknown.
        repeats: how many repeats were timed; 0 where unknown.
        spread: relative spread of the repeats, interquartile range over median; NaN where unknown.
        message: the error's text, empty when ``ok``.
        device: which of a fleet's devices timed it; empty where there is one, or none did.
        probe_s: what the probes took on that device just before, seconds; NaN if not timed then.
    """

    status: Status
    latency_s: float = math.nan
    latency_median_s: float = math.nan
    build_s: float = math.nan
    measure_s: float = math.nan
    repeats: int = 0
    spread: float = math.nan
    message: str = ""
    device: str = ""
    probe_s: float = math.nan

    @property
    def ok(self) -> bool:
        """Whether there is a latency."""
        return self.status is Status.OK

    @property
    def seconds(self) -> float:
        """What it cost: seconds of building and of measuring, unknown parts as 0."""
        return sum(s for s in (self.build_s, self.measure_s) if math.isfinite(s))
