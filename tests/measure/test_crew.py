"""Who measures which program, and what a program that failed cost."""

from __future__ import annotations

import pytest

from balto.data.candidate import Candidate
from balto.data.target import LLVM
from balto.data.task import Task
from balto.errors import WorkerTimeout
from balto.measure.build import KEPT, Built, Program
from balto.measure.crew import CrewMeasurer, outcome_of_error
from balto.workers.worker import Worker

TASK = Task("t", "t", "[]", 1, LLVM, "here", module="{}")


class Crew(CrewMeasurer):
    """Submits nothing."""

    def _submit(self, number: int, work: Program | Built, best_s: float) -> None:
        raise NotImplementedError


def test_a_program_goes_to_the_worker_that_has_it_while_that_lives() -> None:
    a, b, new = (Candidate(TASK, 0, k, trace=f"[{k}]") for k in range(3))
    with Crew([Worker(), Worker()], 1 << 30) as crew:
        first, second = crew._workers
        crew._settle(a, first)
        crew._settle(b, second)
        suits = [[crew._suits(w, c) for c in (a, b, new)] for w in (first, second)]
        assert suits == [[True, False, True], [False, True, True]]
        first.kill()
        first.start()
        assert crew._suits(second, a), "who had it is dead"
        for k in range(2 * KEPT):
            crew._settle(Candidate(TASK, 0, k, trace=f"[other {k}]"), second)
        assert crew._suits(first, b), "forgotten, as the worker has forgotten it"


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
