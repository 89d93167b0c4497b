"""Measure on this machine: warm workers build in parallel, one core does nothing but time."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from balto.errors import MeasurerError
from balto.measure.measurer import Candidate, Measurer
from balto.measure.outcome import Outcome, Status
from balto.measure.program import Request
from balto.measure.timing import TimingSettings
from balto.measure.worker import Worker, WorkerDied, WorkerError, WorkerTimeout

_MEASURE = "balto.measure.program:measure"
_IMPORT = "balto.measure.tvm_setup:import_tvm"
#: What Python, C++, LLVM and CUDA say when there is no memory.
_OUT_OF_MEMORY = ("MemoryError", "std::bad_alloc", "out of memory", "OUT_OF_MEMORY")


@dataclass(frozen=True)
class MeasureSettings:
    """How programs are measured on this machine.

    Attributes:
        workers: worker processes; 0 chooses by the number of cores.
        timing: how precisely programs are timed.
        build_timeout_s: deadline of compiling one program.
        run_timeout_s: deadline of timing one program.
        memory_bytes: address space that a worker may take.
        recycle_bytes: a worker whose resident memory has grown past this is replaced.
    """

    workers: int = 0
    placement: str = "own"
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


def places(cpus: Sequence[int], settings: MeasureSettings) -> list[Place]:
    """Where each worker works."""
    own = settings.placement == "own"
    count = settings.workers or len(cpus)
    if own:
        return [Place((cpus[i % len(cpus)],), (cpus[i % len(cpus)],)) for i in range(count)]
    return [Place(tuple(cpus[:-1]) or (cpus[-1],), (cpus[-1],)) for _ in range(count)]


class LiveMeasurer(Measurer):
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
        self.settings = settings or MeasureSettings()
        self._best = dict(best_s or {})
        self._places = places(sorted(os.sched_getaffinity(0)), self.settings)
        self._token = os.memfd_create("balto-timing-token")
        self._workers = [self._worker(target, place) for place in self._places]
        for worker in self._workers:
            worker.start()

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        """Build and time `candidates`; see `Measurer.measure`."""
        todo = deque(range(len(candidates)))
        busy: dict[Worker, int] = {}
        started: dict[Worker, float] = {}
        failed_starts = 0
        try:
            for worker in self._workers:
                worker.start()
            while todo or busy:
                for worker in self._workers:
                    if todo and worker not in busy and worker.ready:
                        busy[worker] = todo.popleft()
                        started[worker] = time.monotonic()
                        self._submit(worker, candidates[busy[worker]])
                waiting = [w for w in self._workers if w in busy or not w.ready]
                left = min(w.deadline for w in waiting) - time.monotonic()
                wait([w.connection for w in waiting], max(0.0, left) + 0.001)
                for worker in waiting:
                    if not worker.ready:
                        failed_starts = self._poll_start(worker, failed_starts)
                        continue
                    outcome = self._poll(worker, started[worker])
                    if outcome is not None:
                        index = busy.pop(worker)
                        self._learn(candidates[index], outcome)
                        self._renew(worker)
                        yield index, outcome
        finally:
            for worker in busy:
                worker.kill()

    @property
    def free_cpus(self) -> tuple[int, ...]:
        """The CPUs on which programs are built."""
        return self._places[0].build

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def close(self) -> None:
        """Stop every worker."""
        for worker in self._workers:
            worker.kill()
        if self._token >= 0:
            os.close(self._token)
            self._token = -1

    def _worker(self, target: str, place: Place) -> Worker:
        return Worker(
            cpus=place.build,
            memory_bytes=self.settings.memory_bytes,
            env={"TVM_NUM_THREADS": "1", "TVM_BIND_THREADS": "0", "OMP_NUM_THREADS": "1"},
            preload=[(_IMPORT, target)],
            inherit=(self._token,),
        )

    def _submit(self, worker: Worker, candidate: Candidate) -> None:
        settings, task = self.settings, candidate.task
        place = self._places[self._workers.index(worker)]
        request = Request(
            module=task.module,
            trace=candidate.trace,
            target=task.target,
            best_s=self._best.get(candidate.task.name, math.inf),
            timing=settings.timing,
            run_timeout_s=settings.run_timeout_s,
            wait_s=settings.run_timeout_s * (len(self._workers) + 1),
            token=self._token,
            build_cpus=place.build,
            time_cpus=place.time,
        )
        worker.submit(_MEASURE, request, deadline_s=settings.build_timeout_s)

    def _poll_start(self, worker: Worker, failed: int) -> int:
        try:
            worker.poll()
        except WorkerError as error:
            if failed >= len(self._workers) + 2:
                raise MeasurerError(
                    f"expected worker processes that can import TVM, none starts: {error}"
                ) from error
            worker.start()
            return failed + 1
        return 0 if worker.ready else failed

    def _poll(self, worker: Worker, started: float) -> Outcome | None:
        """The outcome of the worker's program, if it is known."""
        try:
            done, fields = worker.poll()
        except WorkerError as error:
            return outcome_of_error(error, time.monotonic() - started)
        if not done:
            return None
        return Outcome(Status.OK, build_s=worker.notes["build_s"], **fields)

    def _learn(self, candidate: Candidate, outcome: Outcome) -> None:
        if outcome.ok:
            best = self._best.get(candidate.task.name, math.inf)
            self._best[candidate.task.name] = min(best, outcome.latency_s)

    def _renew(self, worker: Worker) -> None:
        """Have a worker for the next program, and no larger than it should be."""
        if worker.memory_bytes() > self.settings.recycle_bytes:
            worker.kill()
        worker.start()


def outcome_of_error(error: WorkerError, seconds: float) -> Outcome:
    """What a call that did not return says about its program.

    Args:
        error: as `Worker.poll` raised it.
        seconds: wall clock of the whole call.
    """
    running = bool(error.stage)
    if isinstance(error, WorkerTimeout):
        status = Status.RUN_TIMEOUT if running else Status.BUILD_TIMEOUT
    elif any(sign in f"{error}\n{error.output}" for sign in _OUT_OF_MEMORY):
        status = Status.OUT_OF_MEMORY
    elif isinstance(error, WorkerDied):
        status = Status.CRASH
    else:
        status = Status.RUN_ERROR if running else Status.BUILD_ERROR
    build_s = float(error.notes.get("build_s", seconds if not running else math.nan))
    measure_s = seconds - build_s if running else math.nan
    return Outcome(status, build_s=build_s, measure_s=measure_s, message=str(error))
