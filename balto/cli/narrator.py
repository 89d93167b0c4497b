"""What the two commands of ``balto tune`` tell and print alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import click

from balto.arguments import MOST_TRIALS
from balto.cli.output import UNMEASURED
from balto.cli.progress import Progress
from balto.data.outcome import Outcome
from balto.data.target import Target
from balto.deploy.listener import NetworkListener
from balto.search.forecast import Forecast
from balto.search.pace import Pace
from balto.search.tuning import TunedTask
from balto.store.known import FromStore
from balto.text import printable
from balto.units import seconds


class TuningNarrator(NetworkListener):
    """Shows a tuning's progress on stderr while it is used as a context.

    Args:
        trials: programs that will be measured at most, of each part.
        parts: operators, or one network.
        minutes: that the search may take; None for no limit.
    """

    def __init__(self, trials: int, parts: int = 1, minutes: float | None = None) -> None:
        self._trials, self._parts, self._minutes = trials, parts, minutes
        self._network = self._foretold = ""

    def __enter__(self) -> Self:
        self._progress = Progress()
        if self._trials:
            known = self._trials < MOST_TRIALS
            self._progress.begin("tune", self._parts * self._trials if known else None, "trial")
        if self._minutes is not None:
            pace = Pace(self._trials, self._minutes)
            about = pace.expected
            self.say(f"{seconds(60 * self._minutes)} of search: about {about:,} trials")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.close()

    def say(self, line: str) -> None:
        """Print a line above the progress."""
        self._progress.say(line)

    def began(self, task: str, untuned_s: float) -> None:
        """Say how slow the task is untuned."""
        self._progress.say(f"{task}: {seconds(untuned_s)} untuned")

    def drawing(self, task: str, so_far_s: float) -> None:
        """Say what is waited for."""
        self._progress.say(f"drawing programs of {task}, {seconds(so_far_s)} so far")

    def recalled(self, taken: FromStore) -> None:
        """Say what need not be measured."""
        self._progress.say(stored(taken))

    def stored_times(self, programs: int, ratio: float, agree: bool) -> None:
        """Say whether this machine is as fast as it was."""
        timed = f"{programs} programs of the store take {ratio:.2f} times as long as when stored"
        rest = "" if agree else ": its times are not used, and its best programs are tried anew"
        self._progress.say(timed + rest)

    def store_trouble(self, line: str) -> None:
        """Say what is not used, or not written."""
        self._progress.say(line)

    def measured(self, task: str, outcome: Outcome, best_s: float) -> None:  # noqa: ARG002
        """One trial more."""
        best = "none yet" if math.isinf(best_s) else seconds(best_s)
        self._progress.advance("tune", f"{task}: best {best}{self._network}{self._foretold}")

    def retiming(self, task: str, programs: int) -> None:
        """Say that the fastest programs are timed again."""
        self._progress.say(f"{task}: timing the fastest {programs} again")

    def wrong(self, task: str, error: float) -> None:
        """Say which program is left out."""
        self._progress.say(
            f"WRONG RESULT: the fastest program of {task} is {error:.3g} times the tolerance "
            "away from the untuned one; it is left out, and the next one is taken"
        )

    def planned(self, tasks: int, target: Target, layout: str) -> None:
        """Say what will be tuned, and for what."""
        cores = target.cores or 1
        where = "one core" if cores == 1 else f"{cores} cores"
        where = where if target.on_cpu else f"a {target.kind} device"
        counted = f"{tasks} task{'' if tasks == 1 else 's'}"
        laid_out = f", convolutions in {layout}" if layout else ""
        self._progress.say(f"{counted}, tuned for {where}{laid_out}")
        if 0 < self._trials < tasks:
            self._progress.say(
                f"fewer trials ({self._trials}) than tasks: those that matter least keep TVM's "
                "default schedules, or get the program that the model likes best"
            )

    def noted(self, note: str) -> None:
        """Say it."""
        self._progress.say(note)

    def favourite(self, task: str, done: int, tasks: int) -> None:
        """Count the tasks of which the model chose a program."""
        if done == 1:
            self._progress.begin("choose unmeasured programs", tasks, "task")
        self._progress.advance("choose unmeasured programs", task)

    def comparing(self) -> None:
        """Say what comes before the first trial."""
        self._progress.say("compiling and running the network once, untuned")

    def compared(self, judge: str, tolerance: float, seconds: float) -> None:
        """Say who found it right, how closely, and how long that took."""
        self._progress.say(
            f"it computes what {judge} computes, within {tolerance:.1g} of the largest value; "
            f"that took {seconds:.0f} s"
        )

    def estimated(self, latency_s: float) -> None:
        """Show what the network would take now."""
        self._network = f"; network about {seconds(latency_s)}"

    def foretold(self, task: str, forecast: Forecast) -> None:  # noqa: ARG002
        """Show what the trials that are left are expected to bring."""
        self._foretold = f"; {forecast}" if forecast.trials else ""

    def task_left_untuned(self, task: str, reason: str) -> None:
        """Say which task, and why."""
        self._progress.say(f"{task} keeps TVM's default schedule: {reason}")

    def task_rejected(self, task: str) -> None:
        """Say which task."""
        self._progress.say(
            f"WRONG RESULT: with the program of {task} the network computes something else, "
            "or TVM cannot compile it; the task keeps TVM's default schedule"
        )

    def untuned_deployed(self, tuned_s: float, untuned_s: float) -> None:
        """Say that tuning made it no faster."""
        self._progress.say(
            f"NOT FASTER: {seconds(tuned_s)} tuned, {seconds(untuned_s)} untuned; "
            "the untuned network is deployed"
        )

    def reference_skipped(self, reason: str) -> None:
        """Say why."""
        self._progress.say(f"not timed beside the runtime it came from: {reason}")


def stored(taken: FromStore) -> str:
    """What a store knew, for people."""
    tasks = "task" if taken.tasks == 1 else "tasks"
    trials = "trial" if taken.trials == 1 else "trials"
    return (
        f"{taken.trials} {trials} of {taken.tasks} {tasks} from the store, which took "
        f"{seconds(taken.seconds)} to measure"
    )


def print_troubles(tuned: Sequence[TunedTask]) -> None:
    """What went wrong that the table does not tell."""
    for each in tuned:
        if each.lost:
            click.echo(f"{each.task.name}: TVM died {each.lost} times making programs", err=True)
        if each.failure:
            line = f"{each.task.name}: no trial ran; most often: {each.failure}"
            click.echo(printable(line), err=True)


def row(tuned: TunedTask) -> dict[str, Any]:
    """A task, for JSON."""
    return {
        "untuned_s": tuned.untuned_s,
        "latency_s": tuned.latency_s,
        "trials": tuned.trials,
        "failed": sum(not outcome.ok for _, outcome in tuned.programs),
        "wrong": tuned.wrong,
        "lost": tuned.lost,
        "stored": tuned.store.trials,
        "seconds": tuned.seconds,
        "asking_s": tuned.asking_s,
        "tuned": bool(tuned.trace),
        "measured": not tuned.unmeasured,
    }


def best(tuned: TunedTask) -> str:
    """A task's latency, for a table."""
    return UNMEASURED if tuned.unmeasured and tuned.trace else seconds(tuned.latency_s)
