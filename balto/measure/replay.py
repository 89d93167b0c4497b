"""Replay a recorded pool: outcomes and their cost in seconds, without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from balto.arguments import check_type
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
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
            yield index, outcome
