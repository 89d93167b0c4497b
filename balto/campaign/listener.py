"""What a campaign tells while it runs."""

from __future__ import annotations

from balto.data.outcome import Outcome
from balto.learn.round import Round


class Listener:
    """What a campaign tells while it runs. Every method does nothing unless overridden."""

    def tasks(self, count: int) -> None:
        """The networks have been read.

        Args:
            count: of tasks that programs are drawn of.
        """

    def drawing(self, task: str, so_far_s: float) -> None:
        """The programs of a task are waited for, now and then told again.

        Args:
            task: its name.
            so_far_s: seconds that it was waited for.
        """

    def sampled(self, task: str, programs: int) -> None:
        """A task's programs have been drawn.

        Args:
            task: its name.
            programs: how many they are.
        """

    def left_out(self, task: str, reason: str) -> None:
        """A task cannot be used.

        Args:
            task: its name, or what stands for one that has none.
            reason: on one line.
        """

    def note(self, text: str) -> None:
        """Something of a network that its tasks do not show, such as that it keeps its layout.

        Args:
            text: one line.
        """

    def planned(self, measurements: int) -> None:
        """How many programs are still to be measured, all together.

        Args:
            measurements: their number.
        """

    def measured(self, outcome: Outcome) -> None:
        """A program has been measured.

        Args:
            outcome: what it gave.
        """

    def round(self, selector: str, result: Round) -> None:
        """A round has ended.

        Args:
            selector: its name with its hyper-parameters; a campaign may compare two.
            result: what was selected, and how good the model is now.
        """
