"""What a search tells while it runs."""

from __future__ import annotations

from balto.data.outcome import Outcome
from balto.search.forecast import Forecast
from balto.store.known import FromStore


class SessionListener:
    """What a tuning tells while it runs. Every method does nothing unless overridden."""

    def recalled(self, taken: FromStore) -> None:
        """Stores knew some of the tasks.

        Args:
            taken: what is taken from there.
        """

    def stored_times(self, programs: int, ratio: float, agree: bool) -> None:
        """Programs of a store were timed: `ratio` is the median of now over then.

        If they do not agree, the stored times are not used, and the programs are tried anew.

        Args:
            programs: how many were timed.
            ratio: seconds now over seconds then.
            agree: whether that is near 1.
        """

    def store_trouble(self, line: str) -> None:
        """Something of a store is left alone, or nothing more is written to it.

        Args:
            line: what, and why.
        """

    def began(self, task: str, untuned_s: float) -> None:
        """A task's search begins; `untuned_s` is NaN where the untuned program cannot be timed.

        Args:
            task: its name.
            untuned_s: latency of the untuned program, seconds.
        """

    def drawing(self, task: str, so_far_s: float) -> None:
        """The search waits for programs of a task, now and then told again.

        Args:
            task: its name.
            so_far_s: seconds that it was waited for.
        """

    def measured(self, task: str, outcome: Outcome, best_s: float) -> None:
        """A program of a task was measured; `best_s` is the smallest latency so far.

        Args:
            task: its name.
            outcome: what the program gave.
            best_s: seconds.
        """

    def retiming(self, task: str, programs: int) -> None:
        """So many of the fastest programs of a task are timed again.

        Args:
            task: its name.
            programs: how many.
        """

    def wrong(self, task: str, error: float) -> None:
        """The fastest program of a task does not compute the same; the next one is taken.

        Args:
            task: its name.
            error: distance from the untuned program's output, in tolerances.
        """

    def favourite(self, task: str, done: int, tasks: int) -> None:
        """The model chose its favourite program of a task.

        Args:
            task: its name.
            done: how many tasks have theirs now.
            tasks: how many will.
        """

    def estimated(self, latency_s: float) -> None:
        """What the tasks of the network take together, as far as is known.

        Args:
            latency_s: sum over the tasks, each as often as it runs, seconds.
        """

    def foretold(self, task: str, forecast: Forecast) -> None:
        """What the trials that are left are expected to bring.

        Args:
            task: an operator's name; empty for a network.
            forecast: latency now and then, with an interval.
        """

    def task_left_untuned(self, task: str, reason: str) -> None:
        """A task keeps TVM's default schedule, since it cannot be tuned.

        Args:
            task: its name.
            reason: on one line.
        """
