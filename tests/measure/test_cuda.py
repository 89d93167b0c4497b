"""A GPU is measured through the same interface."""

from __future__ import annotations

import pytest

from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.data.task import Task
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings
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


@pytest.mark.gpu
def test_random_programs_of_a_matmul_are_timed_on_the_device(target: Target) -> None:
    with Worker() as worker:
        module, traces = worker.call(
            "tests.workers.calls:sample_matmul", target, 16, deadline_s=300
        )
    task = Task("matmul", "matmul", "[]", 1, target, "a GPU", module=module)
    candidates = [Candidate(task, 0, i, trace) for i, trace in enumerate(traces)]
    settings = MeasureSettings(workers=2, build_timeout_s=60)
    with LiveMeasurer.for_target(target, settings) as measurer:
        outcomes = dict(measurer.measure(candidates))
        again = dict(measurer.measure(candidates))
    assert len(outcomes) == len(candidates)
    good = [i for i, outcome in outcomes.items() if outcome.ok]
    assert len(good) >= len(candidates) // 2
    for i in good:
        assert again[i].latency_s == pytest.approx(outcomes[i].latency_s, rel=0.3)
