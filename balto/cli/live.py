"""Tell a person how a campaign is getting on."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from balto.campaign.listener import Listener
from balto.cli.progress import Progress
from balto.data.outcome import Outcome
from balto.data.plausible import LEFT_OUT
from balto.learn.round import Round
from balto.units import percent, seconds


class CampaignNarrator(Listener):
    """Progress of sampling and measuring, a line a round, failures by kind."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._failures: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.close()

    def tasks(self, count: int) -> None:
        """Start counting sampled tasks."""
        self._progress.begin("sample", count, "task")

    def drawing(self, task: str, so_far_s: float) -> None:
        """Say what is waited for."""
        self._progress.say(f"drawing programs of {task}, {seconds(so_far_s)} so far")

    def sampled(self, task: str, programs: int) -> None:  # noqa: ARG002
        """One task more."""
        self._progress.advance("sample")

    def left_out(self, task: str, reason: str) -> None:
        """Say what is left out, and why."""
        self._progress.say(f"left out {task}: {reason}")

    def note(self, text: str) -> None:
        """Say it."""
        self._progress.say(text)

    def planned(self, measurements: int) -> None:
        """Start counting measurements."""
        self._progress.begin("measure", measurements, "program")

    def measured(self, outcome: Outcome) -> None:
        """One measurement more; say which device is left out."""
        if not outcome.ok:
            self._failures[outcome.status.value] += 1
            if outcome.message.endswith(LEFT_OUT):
                self._progress.say(outcome.message)
        failed = ", ".join(f"{n} {kind}" for kind, n in sorted(self._failures.items()))
        self._progress.advance("measure", f"failed: {failed}" if failed else "")

    def round(self, selector: str, result: Round) -> None:
        """A line a round."""
        accuracy = result.accuracy
        judged = (
            f"Top-1 {percent(accuracy.top1)}, Top-5 {percent(accuracy.top5)}, "
            f"pairwise {percent(accuracy.pairwise)}"
            if accuracy
            else "no test share"
        )
        rules = ", ".join(f"{n} {rule}" for rule, n in sorted(result.rules.items()))
        self._progress.say(
            f"{selector}, round {result.round}: {rules or 'nothing selected'}; "
            f"{result.measurements} measured in {seconds(result.seconds)}; {judged}"
        )
