"""What tuning a network tells while it runs."""

from __future__ import annotations

from balto.data.target import Target
from balto.search.listener import SessionListener


class NetworkListener(SessionListener):
    """What tuning a network tells beside what its tasks tell."""

    def planned(self, tasks: int, target: Target, layout: str) -> None:
        """The network was read: number of tasks, what they are for, layout of convolutions.

        The layout is empty where there are no convolutions.

        Args:
            tasks: how many there are.
            target: what they are compiled for.
            layout: such as NHWC.
        """

    def noted(self, note: str) -> None:
        """Something of the network was not possible, such as another layout; the rest goes on.

        Args:
            note: on one line.
        """

    def comparing(self) -> None:
        """The untuned network is compiled, run once, and compared with where it came from."""

    def compared(self, judge: str, tolerance: float, seconds: float) -> None:
        """It computes what the judge computes.

        Args:
            judge: who computed what it should be, such as ``PyTorch``.
            tolerance: within which it does, relative to an output's largest value.
            seconds: that compiling, running and comparing took.
        """

    def task_rejected(self, task: str) -> None:
        """With this task's program the network is wrong or cannot be compiled; it is left out.

        Args:
            task: its name.
        """

    def untuned_deployed(self, tuned_s: float, untuned_s: float) -> None:
        """The tuned network is not faster; the untuned one is deployed.

        Args:
            tuned_s: latency of the tuned network, seconds.
            untuned_s: of the untuned one, seconds.
        """

    def reference_skipped(self, reason: str) -> None:
        """The runtime that the network came from does not run it, and is not timed beside it.

        Args:
            reason: on one line.
        """
