"""Measure on this machine: warm workers build at the same time, and time one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Self

from balto.arguments import check_type
from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError
from balto.measure.build import Built, Program
from balto.measure.crew import CrewMeasurer
from balto.measure.local import Job
from balto.measure.placement import CpuPlacement, cpu_placements, free_cpus
from balto.measure.settings import MeasureSettings
from balto.measure.todo import BuildAhead, Todo
from balto.workers.executor import Executor
from balto.workers.worker import Worker

_MEASURE = "balto.measure.local:measure"
_PREPARE = "balto.measure.local:prepare"


class LiveMeasurer(CrewMeasurer):
    """Builds and times programs in warm worker processes on this machine.

    Workers start when the measurer is made, in the background. Each builds and times its own
    programs, so that nothing compiled is handed over; a lock, which the kernel takes back from a
    worker that dies, is the right to time, so that no two programs are ever timed together.

    `for_target` is the usual way to make one.

    Args:
        target: of the programs.
        settings: how programs are measured.
        placements: where each worker builds and times.
        cpus: the CPUs that we may use.
        executor: builds the programs, for a cluster to do it; the workers do if it is None. It
            is the caller's, who closes it.
    """

    def __init__(
        self,
        target: Target,
        settings: MeasureSettings,
        placements: Sequence[CpuPlacement],
        cpus: Sequence[int],
        executor: Executor | None = None,
    ) -> None:
        self.target, self.settings = target, settings
        self._executor = executor
        self._placements = list(placements)
        self._cpus = tuple(cpus)
        self._timing_lock = os.memfd_create("balto-timing-lock")
        threads = str(target.cores or 1)
        workers = [
            Worker(
                cpus=placement.build,
                memory_bytes=settings.memory_for(target),
                env={"TVM_NUM_THREADS": threads, "TVM_BIND_THREADS": "0", "OMP_NUM_THREADS": "1"},
                preload=[(_PREPARE, target)],
                inherit=(self._timing_lock,),
            )
            for placement in self._placements
        ]
        super().__init__(workers, settings.recycle_bytes)

    @classmethod
    def for_target(
        cls,
        target: Target | str,
        settings: MeasureSettings | None = None,
        executor: Executor | None = None,
    ) -> Self:
        """A measurer on all CPUs of this process, with as many cores for timing as `target` says.

        Args:
            target: of the programs; an object, or as `Target.parse` takes it.
            settings: how programs are measured.
            executor: builds the programs; the workers themselves if it is None.

        Returns:
            A measurer; close it, or use it as a context.

        Raises:
            InputError: If `target` is none that TVM knows, or has more cores than this process
                may use.
        """
        target, settings = Target.of(target), MeasureSettings() if settings is None else settings
        check_type("settings", settings, MeasureSettings, "MeasureSettings(workers=2)")
        cpus = sorted(os.sched_getaffinity(0))
        if (target.cores or 1) > len(cpus):
            raise InputError(
                f"the target has num-cores {target.cores}, but this process may use {len(cpus)}: "
                "ask for fewer, or measure over RPC"
            )
        placements = cpu_placements(cpus, settings.workers, target.cores or 1)
        return cls(target, settings, placements, cpus, executor)

    @property
    def free_cpus(self) -> tuple[int, ...]:
        """CPUs on which nothing is timed; all, where there are too few to keep any for timing."""
        return free_cpus(self._cpus, self._placements)

    def close(self) -> None:
        """Stop every worker."""
        super().close()
        if self._timing_lock >= 0:
            os.close(self._timing_lock)
            self._timing_lock = -1

    def _todo(self, candidates: Sequence[Candidate]) -> Todo:
        for each in candidates:
            self._check_target(each.task)
        if self._executor is None:
            return Todo(candidates)
        limit = self.settings.build_limit
        return BuildAhead(candidates, self._executor, len(self._workers), limit)

    def _check_target(self, task: Task) -> None:
        """Refuse what these workers would time on another number of cores, or another device."""
        ours, theirs = ((t.kind, t.cores or 1) for t in (self.target, task.target))
        if ours != theirs:
            raise InputError(
                f"this measurer times {ours[0]} programs on {ours[1]} cores, {task.name} is for "
                f"{theirs[0]} and {theirs[1]}: make one with "
                "LiveMeasurer.for_target(task.target)"
            )

    def _submit(self, number: int, work: Program | Built, best_s: float) -> None:
        build, run = self.settings.build_limit, self.settings.run_limit(self.target)
        job = Job(
            work=work,
            timing=self.settings.timing,
            best_s=best_s,
            wait_s=run.clock_s * (len(self._workers) + 1),
            run=run,
        )
        self._workers[number].submit(
            *(_MEASURE, job, build, self._timing_lock, self._placements[number]),
            deadline_s=build.clock_s,
        )
