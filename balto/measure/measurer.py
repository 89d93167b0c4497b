"""The contract of everything that measures programs."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome


class Measurer(ABC):
    """Measures programs: live on this machine, over RPC, or replayed from a recorded pool.

    Laws, which every measurer keeps and `balto.testing.measurer` checks:

    1. `measure` yields exactly one ``(index, outcome)`` for each candidate, in any order;
       `index` is the candidate's place in the sequence.
    2. A program that crashes, hangs or fails costs that program alone: it is yielded with the
       status that says so, and the others are not touched. A process of ours that is killed from
       outside costs no program: what it measured is measured again, once.
    3. An outcome is yielded as soon as it is known, so that a caller can journal it. A caller may
       leave the rest (``close`` of the iterator), and measure again.
    4. `close` may be called at any time, twice too, and leaves no process behind.
    """

    @abstractmethod
    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        """Build and time `candidates`.

        Args:
            candidates: the programs, each with its task and trace.

        Yields:
            ``(index, outcome)``: the place of the program in `candidates`, and what it gave.

        Raises:
            MeasurerError: If measuring cannot go on at all.
        """

    @property
    def free_cpus(self) -> tuple[int, ...]:
        """CPUs on which other work disturbs no timing; at least one."""
        return tuple(sorted(os.sched_getaffinity(0)))

    def close(self) -> None:
        """Stop every process that belongs to this measurer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
