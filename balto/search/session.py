"""Search some tasks: draw, measure, check, and keep what was measured. Resuming is running again.

The search is fixed by its seed and by the outcomes, so what a journal holds is not measured again,
and a search that is run again goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from balto.data.task import Task
from balto.errors import MeasurerError
from balto.journal.file import Journal
from balto.measure.measurer import Measurer
from balto.models.base import CostModel
from balto.search.bench import Bench
from balto.search.cost import TrialCost
from balto.search.favourite import Favourite, checked
from balto.search.forecast import Standing, forecast
from balto.search.learner import Learner
from balto.search.listener import SessionListener
from balto.search.makers import Makers
from balto.search.pace import NEXT_S, Pace
from balto.search.task import SearchSettings
from balto.search.tuning import TaskTuning, TunedTask
from balto.store.memory import Memory

#: Few trials are measured in quarters, to learn from each, but no fewer than these at a time.
_LEAST_BATCH = 4


class Session:
    """Searches tasks with one measurer and one learner: one to its end, or many in slices.

    Args:
        measurer: measures; closed by whoever made it.
        model: a fitted model; None to learn from nothing.
        journal: keeps what is measured; None to keep nothing.
        records: what the journal held.
        settings: of the search.
        seed: fixes every choice.
        listener: is told what happens.
        runs_here: whether this machine runs the programs; otherwise no favourite is checked.
    """

    def __init__(
        self,
        measurer: Measurer,
        model: CostModel | None,
        journal: Journal | None = None,
        records: Iterable[Mapping[str, Any]] = (),
        settings: SearchSettings | None = None,
        seed: int = 0,
        listener: SessionListener | None = None,
        runs_here: bool = True,
    ) -> None:
        self._settings = settings or SearchSettings()
        self._learner = Learner(model, seed)
        self._bench = Bench(measurer, journal, records, listener or SessionListener())
        self._makers = Makers(self._learner, self._settings, seed, measurer.free_cpus)
        self._runs_here = runs_here

    @property
    def model(self) -> CostModel | None:
        """With what it learnt from the trials; None before there are any."""
        return self._learner.model

    @property
    def trained(self) -> bool:
        """Whether it began with a model, which has a favourite of every task."""
        return self._learner.base is not None

    def remember(self, tasks: Sequence[Task], memory: Memory) -> None:
        """Begin with what stores know of tasks, and write there what is measured from now on.

        Call it once, before anything is searched.

        Args:
            tasks: that will be searched.
            memory: of the stores.
        """
        self._bench.remember(tasks, memory)
        self._makers.known = self._bench.known

    def knows(self, task: Task) -> bool:
        """Whether a store has programs of a task, measured here.

        Args:
            task: that `remember` was told.

        Returns:
            Whether it has.
        """
        return task.name in self._bench.known and bool(self._bench.known[task.name].trials)

    def close(self) -> None:
        """Stop what makes programs, whatever it does."""
        self._makers.close()

    def tune(self, task: Task, trials: int | Pace) -> TunedTask:
        """Search a task with at most so many trials; fewer where its space has fewer.

        Args:
            task: with its module.
            trials: programs to measure at most.

        Returns:
            The fastest right program.

        Raises:
            InputError: If TVM cannot sample the task.
            MeasurerError: If measuring cannot go on, or neither the untuned nor a right program
                runs.
        """
        pace = Pace.of(trials)
        self.price(pace)
        tuning = self.begin(task)
        while tuning.trials < (total := pace.trials(tuning.trials)):
            batch = min(self._settings.batch, max(_LEAST_BATCH, total // 4))
            stepping = tuning.trials >= total * (1 - self._settings.steps)
            if not tuning.advance(min(total - tuning.trials, batch), stepping):
                break  # the space is dry
            latency_s = min([*tuning.best_s[-1:], tuning.untuned_s])
            standing = Standing(1, latency_s, tuning.trials)
            self.foretell([standing], total - tuning.trials, pace, task.name)
        tuned = tuning.finish()
        if math.isnan(tuned.latency_s):
            raise MeasurerError(
                f"{task.name}: neither the untuned program nor a right one of {tuned.trials} "
                f"trials runs here{f' ({tuned.failure})' if tuned.failure else ''}; see that this "
                "machine runs programs of the target, or try more trials"
            )
        return tuned

    def untuned_s(self, task: Task) -> float:
        """Time the untuned program of a task.

        Args:
            task: with its module.

        Returns:
            Seconds; NaN if it does not run.

        Raises:
            MeasurerError: If measuring cannot go on.
        """
        [untuned] = self._bench.measure(task, [""])
        return untuned.latency_median_s if untuned.ok else math.nan

    def price(self, pace: Pace) -> None:
        """Weigh what programs promise against what they cost, if the clock decides.

        Args:
            pace: of the search.
        """
        if pace.timed and self._learner.cost is None:
            self._learner.cost = TrialCost()

    def foretell(
        self, standings: Sequence[Standing], more: int, pace: Pace, task: str = ""
    ) -> None:
        """Tell what the trials that are left will bring, and the pace what the next minute will.

        Args:
            standings: of all tasks; nothing is told where a latency is not known.
            more: how many trials are left.
            pace: of the search.
            task: of an operator's; empty for a network.
        """
        if not all(0 < each.latency_s < math.inf for each in standings):
            return
        told = forecast(standings, more, more * pace.trial_s)
        self._bench.listener.foretold(task, told)
        pace.expect(forecast(standings, round(NEXT_S / pace.trial_s), NEXT_S).gain)

    def begin(self, task: Task, share: float = 1.0) -> TaskTuning:
        """Begin to tune a task, which then goes on in slices: time the untuned program, draw.

        Args:
            task: with its module.
            share: of its network's latency: a small one gets less time to make programs in.

        Returns:
            The task's search.

        Raises:
            InputError: If TVM cannot sample the task.
            MeasurerError: If measuring cannot go on.
        """
        return TaskTuning(task, self._makers, self._bench, share)

    def expect(self, task: Task | None, share: float = 1.0) -> None:
        """Say which task is likely to begin next, if any does, and its share of the network.

        Its random programs are drawn while others are measured; `begin` then need not wait. What
        is found does not depend on it.

        Args:
            task: None if none is likely to.
            share: of its network's latency.
        """
        self._makers.expect(None if task is not None and self.knows(task) else task, share)

    def favourite(self, task: Task) -> Favourite:
        """The program that the model likes best of a task that had no trial; with a model alone.

        Args:
            task: with its module.

        Returns:
            The task with that program, which nobody checked yet.

        Raises:
            InputError: If TVM cannot sample the task.
        """
        return Favourite(task, self._makers)

    def checked(
        self, favourites: Sequence[Favourite]
    ) -> tuple[list[TunedTask], list[tuple[str, str]]]:
        """Compare favourites with the untuned programs of their tasks.

        Args:
            favourites: of `favourite`.

        Returns:
            Those that may be deployed; name and reason of the tasks that stay untuned.
        """
        return checked(favourites, self._makers, self._bench.listener, self._runs_here)
