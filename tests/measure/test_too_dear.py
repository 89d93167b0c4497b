"""A build that goes on far past what was foretold is ended; no other one is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import balto
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome, Status
from balto.measure.build import Program
from balto.measure.crew import ended_as_too_dear
from balto.measure.live import LiveMeasurer
from balto.measure.settings import Limit


@given(st.floats(0.1, 1e3), st.floats(1, 10), st.floats(0.01, 1e4))
def test_a_limit_of_its_own_only_ever_shortens_and_keeps_the_clock_in_proportion(
    cpu_s: float, factor: float, own_s: float
) -> None:
    limit = Limit(factor * cpu_s, cpu_s)
    found = limit.at_most(own_s)
    assert found.cpu_s == min(cpu_s, own_s)
    assert found.clock_s == pytest.approx(factor * found.cpu_s)
    assert limit.at_most(math.inf) == limit


def test_the_limit_makes_no_other_program_of_it() -> None:
    [task] = balto.extract_tasks([], ["matmul:8x8x8"]).tasks
    one, other = (Program.of(Candidate(task, 0, 0, "", None, s)) for s in (1.0, math.inf))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("status", "build_s", "limit_s", "expected"),
    [
        (Status.BUILD_TIMEOUT, 3.1, 3.0, Status.TOO_DEAR),
        (Status.BUILD_TIMEOUT, 20.0, 50.0, Status.BUILD_TIMEOUT),  # the limit of all programs
        (Status.BUILD_TIMEOUT, 20.0, math.inf, Status.BUILD_TIMEOUT),
        (Status.BUILD_ERROR, 3.1, 3.0, Status.BUILD_ERROR),
        (Status.RUN_TIMEOUT, 3.1, 3.0, Status.RUN_TIMEOUT),
    ],
)
def test_only_a_build_that_ran_into_its_own_limit_is_too_dear(
    status: Status, build_s: float, limit_s: float, expected: Status
) -> None:
    [task] = balto.extract_tasks([], ["matmul:8x8x8"]).tasks
    candidate = Candidate(task, 0, 0, "", None, limit_s)
    assert ended_as_too_dear(Outcome(status, build_s=build_s), candidate).status is expected


@pytest.mark.slow
def test_a_real_build_is_ended_and_the_others_are_measured() -> None:
    [task] = balto.extract_tasks([], ["conv2d_nhwc:1x14x14x16x16x3x1x1"]).tasks
    pool = balto.sample(task, 4, seed=1)
    candidates = [Candidate(task, 0, k, pool.trace(0, k)) for k in range(4)]
    candidates[2] = replace(candidates[2], build_limit_s=1e-3)
    with LiveMeasurer.for_target(task.target) as measurer:
        outcomes = dict(measurer.measure(candidates))
    assert outcomes[2].status is Status.TOO_DEAR
    assert "foretold" in outcomes[2].message
    assert math.isnan(outcomes[2].latency_s)
    assert all(outcomes[k].ok for k in (0, 1, 3))
