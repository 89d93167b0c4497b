"""What a program that failed cost, and what is said of it."""

from __future__ import annotations

import pytest

from balto.data.outcome import Status
from balto.errors import WorkerTimeout
from balto.measure.crew import outcome_of_error


@pytest.mark.parametrize(
    ("notes", "measure_s"),
    [
        ({}, 0.0),  # it died while it was built
        ({"build_s": 2.0}, 8.0),
        ({"build_s": 2.0, "waited_s": 3.0}, 5.0),  # for the right to time
        ({"build_s": 20.0, "built_elsewhere": True}, 10.0),  # before this call
    ],
)
def test_what_a_failed_program_cost(notes: dict[str, object], measure_s: float) -> None:
    outcome = outcome_of_error(WorkerTimeout("too long", "run", notes), 10.0)
    assert outcome.measure_s == measure_s
    assert outcome.build_s == notes.get("build_s", 10.0)


@pytest.mark.parametrize(
    ("stage", "status"),
    [
        ("", Status.BUILD_TIMEOUT),
        ("build", Status.BUILD_TIMEOUT),
        ("wait", Status.RUN_TIMEOUT),
        ("run", Status.RUN_TIMEOUT),
    ],
)
def test_a_deadline_is_of_what_was_done_then(stage: str, status: Status) -> None:
    assert outcome_of_error(WorkerTimeout("too long", stage), 10.0).status is status
