"""Where workers build and time, on made-up machines; other work keeps off the timing cores."""

from __future__ import annotations

import os

import pytest

from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError
from balto.measure.build import Program
from balto.measure.live import LiveMeasurer
from balto.measure.placement import CpuPlacement, cpu_placements, free_cpus
from balto.measure.settings import MeasureSettings
from balto.workers.worker import Worker


@pytest.mark.parametrize(
    ("cpus", "cores", "timing", "free"),
    [
        ([0], 1, {0}, (0,)),
        ([0, 1], 1, {0, 1}, (0, 1)),  # too few: timing shares its core with building
        ([0, 1, 2, 3], 1, {3}, (0, 1, 2)),
        ([2, 3, 5, 7, 11, 13], 2, {11, 13}, (2, 3, 5, 7)),
        ([0, 1, 2, 3], 2, {0, 1, 2, 3}, (0, 1, 2, 3)),
        ([0, 1], 4, {0, 1}, (0, 1)),
    ],
)
def test_other_work_keeps_off_the_cores_that_time(cpus, cores, timing, free):
    placements = cpu_placements(cpus, cores=cores)
    assert {cpu for each in placements for cpu in each.time} == timing
    assert free_cpus(cpus, placements) == free


def test_the_live_measurer_says_where_other_work_disturbs_nothing():
    cpus = sorted(os.sched_getaffinity(0))
    with LiveMeasurer.for_target("llvm", MeasureSettings(workers=1)) as measurer:
        assert measurer.free_cpus == free_cpus(cpus, cpu_placements(cpus, workers=1))


def test_workers_build_everywhere_else_and_time_in_one_place():
    placements = cpu_placements(range(8), cores=2)
    assert placements == [CpuPlacement((0, 1, 2, 3, 4, 5), (6, 7))] * 6
    assert len(cpu_placements(range(8), workers=3)) == 3


def test_the_target_decides_the_cores_and_the_memory():
    settings = MeasureSettings(workers=1, memory_bytes=1 << 34)
    cores = min(2, len(os.sched_getaffinity(0)))
    with LiveMeasurer.for_target(Target("llvm", cores=cores), settings) as measurer:
        [worker] = measurer._workers
        assert worker._env["TVM_NUM_THREADS"] == str(cores)
        assert worker._memory_bytes == 1 << 34
        [placement] = measurer._placements
        assert len(placement.time) == cores
    gpu = Target.parse('{"kind": "cuda", "arch": "sm_80"}')
    with LiveMeasurer.for_target(gpu, settings) as measurer:
        [worker] = measurer._workers
        assert worker._memory_bytes == 0
        assert [target for _, target in worker._preload] == [gpu]


@pytest.mark.parametrize(
    "target", [Target("llvm", cores=2), Target.parse('{"kind": "cuda", "arch": "sm_80"}')], ids=str
)
def test_programs_of_another_target_are_refused(target):
    """They would be timed on another number of cores than is recorded, or under a wrong limit."""
    task = Task("a task", "op", "[]", 1, target, "a", module="{}")
    with (
        LiveMeasurer.for_target("llvm", MeasureSettings(workers=1)) as measurer,
        pytest.raises(InputError, match="llvm programs on 1 cores, a task is for") as error,
    ):
        next(measurer.measure([Candidate(task, 0, 0, "[]")]))
    assert "\n" not in str(error.value)


def test_a_program_without_its_trace_is_not_timed_as_it_never_was():
    """Without a trace, what would be built is the task's module, unscheduled."""
    task = Task("a task", "op", "[]", 1, Target("llvm"), "a", module="{}")
    with pytest.raises(InputError, match="expected program 3 of a task with its trace"):
        Program.of(Candidate(task, 0, 3))
    assert Program.of(Candidate(task, 0, 3, trace="")).trace == ""  # asked for as it is
    pytest.importorskip("tvm")
    with (
        LiveMeasurer.for_target("llvm", MeasureSettings(workers=1)) as measurer,
        pytest.raises(InputError, match="can be replayed, but not measured again"),
    ):
        next(measurer.measure([Candidate(task, 0, 3)]))


def test_a_task_without_its_module_is_no_failure_of_its_programs():
    pytest.importorskip("tvm")
    task = Task("a task", "op", "[]", 1, Target("llvm"), "a")
    with (
        LiveMeasurer.for_target("llvm", MeasureSettings(workers=1)) as measurer,
        pytest.raises(InputError, match="expected the task a task with its module"),
    ):
        next(measurer.measure([Candidate(task, 0, 0, "[]")]))


def test_a_program_that_fails_gives_the_timing_core_back():
    lock = os.memfd_create("lock")
    last = max(os.sched_getaffinity(0))
    try:
        with Worker(inherit=(lock,)) as worker:
            everywhere = tuple(os.sched_getaffinity(0))
            arguments = (lock, CpuPlacement(everywhere, (last,)))
            after = worker.call("tests.measure.steps:fail_while_timing", *arguments, deadline_s=60)
        assert after == set(everywhere)
    finally:
        os.close(lock)
