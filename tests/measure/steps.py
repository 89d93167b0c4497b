"""What the tests of building and timing call in worker processes."""

from __future__ import annotations

import contextlib
import os
import pickle
from dataclasses import replace

import numpy as np

from balto.data.candidate import Candidate
from balto.measure.build import Artifact, Program, artifact_of, build
from balto.measure.execute import time_artifact
from balto.measure.local import _timing_core
from balto.measure.placement import CpuPlacement
from balto.measure.timing import Timing, TimingSettings
from balto.workers.tvm_setup import import_tvm


def build_and_export(candidate: Candidate) -> Artifact:
    return build(Program.of(candidate), export=True)


def built_once(candidate: Candidate) -> bool:
    """Whether a program that is asked for again is at hand, and another one is another."""
    program = Program.of(candidate)
    other = replace(program, target=replace(program.target, cores=2))
    return artifact_of(program) is artifact_of(program) is not artifact_of(other)


def time_exported(artifact: Artifact) -> Timing:
    return time_artifact(artifact, TimingSettings())


def build_and_time(candidate: Candidate) -> tuple[bytes, Timing]:
    artifact = build(Program.of(candidate))
    return artifact.library, time_artifact(artifact, TimingSettings())


def fail_while_timing(lock: int, placement: CpuPlacement) -> set[int]:
    """The CPUs that this process may use after a program failed on the timing core."""
    with contextlib.suppress(ZeroDivisionError), _timing_core(lock, placement):
        assert os.sched_getaffinity(0) == set(placement.time)
        raise ZeroDivisionError
    return os.sched_getaffinity(0)


def pickle_in_memory(candidate: Candidate) -> str:
    try:
        pickle.dumps(build(Program.of(candidate)))
    except TypeError as error:
        return str(error)
    return ""


def adds_one(artifact: Artifact) -> bool:
    """Whether the loaded program computes what the one called ``sound`` should."""
    tvm = import_tvm()
    given = np.arange(1024, dtype=np.float32)
    a, c = tvm.runtime.tensor(given), tvm.runtime.tensor(np.zeros_like(given))
    artifact.runnable["main"](a, c)
    return bool((c.numpy() == given + 1).all())
