"""A GPU is measured through the same interface."""

from __future__ import annotations

import numpy as np
import pytest

import balto
from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.data.task import Task
from balto.measure.build import Program
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings
from balto.programs.loops import COLUMNS
from balto.tasks import extract_tasks
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker

pytest.importorskip("tvm")


@pytest.fixture(scope="module")
def target() -> Target:
    """The target of the first CUDA device, asked for in a process of its own."""
    with Worker() as worker:
        found: str = worker.call("tests.workers.calls:cuda_target", deadline_s=120)
    if not found:
        pytest.skip("needs a CUDA device")
    return Target.from_json(found)


@pytest.fixture(scope="module")
def hopper() -> tuple[Task, balto.Pool]:
    """A matmul for sm_90, and random programs of it; needs no device and no driver."""
    spec = {"kind": "cuda", "arch": "sm_90", "max_threads_per_block": 1024, "thread_warp_size": 32}
    spec |= {"max_shared_memory_per_block": 49152, "registers_per_block": 65536}
    extracted = extract_tasks(
        operator_specs=["matmul:256x256x256"], target=Target.from_dict(spec), device="an H100"
    )
    (task,) = extracted.tasks
    return task, balto.sample(task, 16)


@pytest.mark.slow
def test_programs_for_a_gpu_are_drawn_with_their_threads_where_there_is_none(
    hopper: tuple[Task, balto.Pool],
) -> None:
    task, pool = hopper
    assert task.target.option("arch") == "sm_90"
    assert len(pool) == 16
    rows = pool.features["loops"].rows
    threads = rows[:, COLUMNS.index("program.block_threads")]  # logarithms to base 2
    blocks = rows[:, COLUMNS.index("program.grid_blocks")]
    assert ((threads > 0) & (threads <= 10)).all(), "a block has 1,024 at most"
    assert len(np.unique(threads)) > 1
    assert (blocks >= 0).all()
    assert len(np.unique(blocks)) > 1


@pytest.mark.slow
def test_programs_are_built_for_sm_90_where_there_is_no_device(
    hopper: tuple[Task, balto.Pool],
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="TVM compiles CUDA with cuda-bindings")
    task, pool = hopper
    with LocalExecutor([Worker()]) as executor:
        for trace in ["", *(str(pool.trace(0, i)) for i in range(4))]:
            program = Program(task.module, trace, task.target)
            future = executor.submit(
                "balto.measure.build:build_exported", program, deadline_s=120.0
            )
            built = future.result()
            assert len(built.artifact.library) > 1000
            assert built.artifact.arguments == (((256, 256), "float32"),) * 3


@pytest.mark.gpu
def test_random_programs_of_a_matmul_are_timed_on_the_device(target: Target) -> None:
    [task] = extract_tasks(operator_specs=["matmul:512x512x512"], target=target).tasks
    pool = balto.sample(task, 16)
    candidates = [Candidate(task, 0, i, str(pool.trace(0, i))) for i in range(16)]
    settings = MeasureSettings(workers=2, build_timeout_s=60)
    with LiveMeasurer.for_target(target, settings) as measurer:
        outcomes = dict(measurer.measure(candidates))
        again = dict(measurer.measure(candidates))
    assert len(outcomes) == len(candidates)
    good = [i for i, outcome in outcomes.items() if outcome.ok]
    assert len(good) >= len(candidates) // 2
    for i in good:
        assert again[i].latency_s == pytest.approx(outcomes[i].latency_s, rel=0.3)
