"""Measure on this machine: warm workers build at the same time, and time one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from balto.measure.crew import CrewMeasurer
from balto.measure.measurer import Candidate
from balto.measure.program import Request
from balto.measure.timing import TimingSettings
from balto.measure.worker import Worker

_MEASURE = "balto.measure.program:measure"
_IMPORT = "balto.measure.tvm_setup:import_tvm"


@dataclass(frozen=True)
class MeasureSettings:
    """How programs are measured on this machine.

    Attributes:
        workers: worker processes; 0 chooses by the number of cores.
        cores: cores that a program runs on, the ``num-cores`` of its target.
        timing: how precisely programs are timed.
        build_timeout_s: deadline of compiling one program.
        run_timeout_s: deadline of timing one program.
        memory_bytes: address space that a worker may take; 0 for no limit, as CUDA needs.
        recycle_bytes: a worker whose resident memory has grown past this is replaced.
    """

    workers: int = 0
    cores: int = 1
    timing: TimingSettings = field(default_factory=TimingSettings)
    build_timeout_s: float = 20.0
    run_timeout_s: float = 10.0
    memory_bytes: int = 16 << 30
    recycle_bytes: int = 1 << 30


@dataclass(frozen=True)
class Place:
    """Where one worker builds, and where it times: CPU numbers."""

    build: tuple[int, ...]
    time: tuple[int, ...]


def places(cpus: Sequence[int], workers: int = 0, cores: int = 1) -> list[Place]:
    """Where each worker works.

    Args:
        cpus: the CPUs that we may use.
        workers: how many; 0 for one a core that builds.
        cores: how many cores a program runs on.
    """
    if len(cpus) < 2 * cores + 2:  # too few to keep some free: each times where it builds
        count = workers or max(1, len(cpus) // cores)
        slots = [tuple(cpus[i : i + cores]) for i in range(0, len(cpus) - cores + 1, cores)]
        slots = slots or [tuple(cpus)]
        return [Place(slots[i % len(slots)], slots[i % len(slots)]) for i in range(count)]
    build, timing = tuple(cpus[:-cores]), tuple(cpus[-cores:])
    return [Place(build, timing) for _ in range(workers or len(build))]


class LiveMeasurer(CrewMeasurer):
    """Builds and times programs in warm worker processes on this machine.

    Workers start when the measurer is made, in the background. Each builds and times its own
    programs, so that nothing compiled is handed over; a lock, which the kernel takes back from a
    worker that dies, is the right to time, so that no two programs are ever timed together.

    Args:
        settings: how programs are measured.
        target: JSON of the target, to prepare the workers for; candidates bring their own.
        best_s: the smallest latency known of each task, by its name.
    """

    def __init__(
        self,
        settings: MeasureSettings | None = None,
        target: str = '{"kind": "llvm"}',
        best_s: dict[str, float] | None = None,
    ) -> None:
        self.settings = settings = settings or MeasureSettings()
        cpus = sorted(os.sched_getaffinity(0))
        self._places = places(cpus, settings.workers, settings.cores)
        self._token = os.memfd_create("balto-timing-token")
        threads = str(settings.cores)
        workers = [
            Worker(
                cpus=place.build,
                memory_bytes=settings.memory_bytes,
                env={"TVM_NUM_THREADS": threads, "TVM_BIND_THREADS": "0", "OMP_NUM_THREADS": "1"},
                preload=[(_IMPORT, target)],
                inherit=(self._token,),
            )
            for place in self._places
        ]
        super().__init__(workers, settings.recycle_bytes, best_s)

    def close(self) -> None:
        """Stop every worker."""
        super().close()
        if self._token >= 0:
            os.close(self._token)
            self._token = -1

    def _submit(self, number: int, candidate: Candidate, best_s: float) -> None:
        settings, task = self.settings, candidate.task
        request = Request(
            module=task.module,
            trace=candidate.trace,
            target=task.target,
            best_s=best_s,
            timing=settings.timing,
            run_timeout_s=settings.run_timeout_s,
            wait_s=settings.run_timeout_s * (len(self._workers) + 1),
            token=self._token,
            build_cpus=self._places[number].build,
            time_cpus=self._places[number].time,
        )
        self._workers[number].submit(_MEASURE, request, deadline_s=settings.build_timeout_s)
