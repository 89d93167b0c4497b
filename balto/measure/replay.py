"""Replay a recorded pool: outcomes and their cost in seconds, without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from balto.arguments import check_type
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome, Status
from balto.data.pool import Pool
from balto.errors import MeasurerError
from balto.measure.measurer import Measurer


class ReplayMeasurer(Measurer):
    """Yields what was recorded.

    Args:
        pool: a pool whose `task_id` and `program_id` the candidates use.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = check_type("pool", pool, Pool, "balto.read_pool(path) reads one")

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        """Yield the recorded outcomes, in order.

        Raises:
            MeasurerError: If a program was never measured.
        """
        for index, candidate in enumerate(candidates):
            programs = self._pool.programs(candidate.task_id)
            recorded = candidate.program_id < len(programs)
            outcome = self._pool.outcomes[programs[candidate.program_id]] if recorded else None
            if outcome is None:
                raise MeasurerError(
                    f"expected a recorded measurement of program {candidate.program_id} of task "
                    f"{candidate.task.name}, the pool has none"
                )
            yield index, _ended(outcome, candidate.build_limit_s)


def _ended(outcome: Outcome, limit_s: float) -> Outcome:
    """What it would have been with a limit of building."""
    if not outcome.build_s > limit_s:
        return outcome
    message = f"its build would have been ended after {limit_s:.1f} s, far past what was foretold"
    return Outcome(Status.TOO_DEAR, build_s=limit_s, message=message)
