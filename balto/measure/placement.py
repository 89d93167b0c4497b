"""Which CPUs build, which time, and which are free for other work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CpuPlacement:
    """Where one worker builds, and where it times: CPU numbers.

    Attributes:
        build: where it compiles.
        time: where programs run, alone.
    """

    build: tuple[int, ...]
    time: tuple[int, ...]


def cpu_placements(cpus: Sequence[int], workers: int = 0, cores: int = 1) -> list[CpuPlacement]:
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
        return [CpuPlacement(slots[i % len(slots)], slots[i % len(slots)]) for i in range(count)]
    build, timing = tuple(cpus[:-cores]), tuple(cpus[-cores:])
    return [CpuPlacement(build, timing) for _ in range(workers or len(build))]


def free_cpus(cpus: Sequence[int], placements: Sequence[CpuPlacement]) -> tuple[int, ...]:
    """The CPUs on which nothing is timed; all, where something is timed on every one."""
    timing = {cpu for placement in placements for cpu in placement.time}
    return tuple(cpu for cpu in cpus if cpu not in timing) or tuple(cpus)


def untimed_cpus(workers: int, cores: int) -> tuple[int, ...]:
    """The CPUs of this process on which a `LiveMeasurer` would time nothing, as `free_cpus`."""
    cpus = sorted(os.sched_getaffinity(0))
    return free_cpus(cpus, cpu_placements(cpus, workers, cores))
