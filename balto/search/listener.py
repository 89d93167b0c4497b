"""What a search tells while it runs."""

from __future__ import annotations

from balto.data.outcome import Outcome
from balto.store.known import FromStore


class SessionListener:
    """What a tuning tells while it runs. Every method does nothing unless overridden."""

    def recalled(self, taken: FromStore) -> None:
        """Stores knew some of the tasks: what is taken from there."""

    def stored_times(self, programs: int, ratio: float, agree: bool) -> None:
        """Programs of a store were timed: `ratio` is the median of now over then.

        If they do not agree, the stored times are not used, and the programs are tried anew.
        """

    def store_trouble(self, line: str) -> None:
        """Something of a store is left alone, or nothing more is written to it."""

    def began(self, task: str, untuned_s: float) -> None:
        """A task's search begins; `untuned_s` is NaN where the untuned program cannot be timed."""

    def measured(self, task: str, outcome: Outcome, best_s: float) -> None:
        """A program of a task was measured; `best_s` is the smallest latency so far."""

    def retiming(self, task: str, programs: int) -> None:
        """So many of the fastest programs of a task are timed again."""

    def wrong(self, task: str, error: float) -> None:
        """The fastest program of a task does not compute the same; the next one is taken."""

    def estimated(self, latency_s: float) -> None:
        """What the tasks of the network take together, as far as is known."""

    def task_left_untuned(self, task: str, reason: str) -> None:
        """A task keeps TVM's default schedule, since it cannot be tuned."""
