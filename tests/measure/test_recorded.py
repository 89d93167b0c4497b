"""Replaying gives what was recorded, its cost too, and nothing that was not."""

from __future__ import annotations

import numpy as np
import pytest

from balto.data.candidate import Candidate
from balto.data.features import Features
from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.target import LLVM
from balto.data.task import Task
from balto.errors import MeasurerError
from balto.measure.replay import ReplayMeasurer

TASKS = [Task(name, "matmul", "[]", 1, LLVM, "a CPU") for name in ("a", "b")]
OUTCOMES = [
    Outcome(Status.OK, 1e-3, 2e-3, 0.1, 0.2),
    None,
    Outcome(Status.CRASH, build_s=0.3),
    Outcome(Status.OK, 4e-3, 4e-3, 0.1, 0.5),
]


@pytest.fixture
def measurer() -> ReplayMeasurer:
    features = Features.from_programs([np.zeros((1, 164))] * 4)
    outcomes = Outcomes.of(OUTCOMES)
    return ReplayMeasurer(Pool(TASKS, np.array([0, 2, 4]), features, [""] * 4, outcomes))


def test_it_yields_what_was_recorded(measurer: ReplayMeasurer) -> None:
    asked = [Candidate(TASKS[1], 1, 1), Candidate(TASKS[0], 0, 0), Candidate(TASKS[1], 1, 0)]
    found = [(k, str(outcome)) for k, outcome in measurer.measure(asked)]  # NaN equals itself so
    assert found == [(0, str(OUTCOMES[3])), (1, str(OUTCOMES[0])), (2, str(OUTCOMES[2]))]


@pytest.mark.parametrize("program", [1, 2, 99])
def test_what_was_never_measured_is_an_error(measurer: ReplayMeasurer, program: int) -> None:
    with pytest.raises(MeasurerError, match=f"program {program} of task a"):
        list(measurer.measure([Candidate(TASKS[0], 0, program)]))
