"""Build and time one program in one process: what runs in the workers of a `LiveMeasurer`."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from balto.data.target import Target
from balto.errors import InputError
from balto.measure.build import Built, Program, artifact_of, limit_of
from balto.measure.execute import device_of, time_artifact
from balto.measure.placement import CpuPlacement
from balto.measure.settings import Limit
from balto.measure.timing import TimingSettings
from balto.workers.child import note, pin, stage
from balto.workers.tvm_setup import import_tvm, load_back_end


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program to measure, and how: what every worker is told, wherever it times.

    Attributes:
        work: what to build, or what was built from it elsewhere.
        timing: how precisely to time it.
        best_s: the smallest latency of its task so far, seconds; infinity if it is the first.
        wait_s: how long to wait for what it is timed on, seconds by the clock.
        run: limit of running it there.
    """

    work: Program | Built
    timing: TimingSettings
    best_s: float
    wait_s: float
    run: Limit


def prepare(target: Target) -> None:
    """What a worker does before its first program: load TVM, and see that the device is here.

    Raises:
        InputError: If this machine has no device of the target's kind.
    """
    if not load_back_end(target).device(device_of(target)).exist:
        raise InputError(f"this machine has no {target.kind} device; measure over RPC instead")
    import_tvm(target)


def measure(job: Job, limit: Limit, timing_lock: int, placement: CpuPlacement) -> dict[str, Any]:
    """Build if it is not built, wait for the timing core, time; returns fields of an `Outcome`.

    Args:
        job: what to measure.
        limit: of building it.
        timing_lock: file descriptor whose lock is the right to time.
        placement: where to build, and where to time.
    """
    stage("build", *limit_of(job.work, limit))
    artifact = artifact_of(job.work).load()  # linked before it takes the timing core
    stage("wait", job.wait_s)
    waiting = time.perf_counter()
    with _timing_core(timing_lock, placement):
        stage("run", *job.run)
        started = time.perf_counter()
        note(waited_s=started - waiting)
        alone = len(placement.time) == 1
        timing = time_artifact(artifact, job.timing, job.best_s, alone=alone)
        ended = time.perf_counter()
    return {**vars(timing), "measure_s": ended - started}


@contextlib.contextmanager
def _timing_core(timing_lock: int, placement: CpuPlacement) -> Iterator[None]:
    """Hold the right to time, on the timing core. The kernel takes it back if we die."""
    fcntl.lockf(timing_lock, fcntl.LOCK_EX)
    try:
        pin(list(placement.time))
        yield
    finally:
        pin(list(placement.build))
        fcntl.lockf(timing_lock, fcntl.LOCK_UN)
