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
from balto.search.learner import Learner
from balto.search.listener import SessionListener
from balto.search.makers import Makers
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
    ) -> None:
        self._settings = settings or SearchSettings()
        self._learner = Learner(model, seed)
        self._bench = Bench(measurer, journal, records, listener or SessionListener())
        self._makers = Makers(self._learner, self._settings, seed, measurer.free_cpus)

    @property
    def model(self) -> CostModel | None:
        """With what it learnt from the trials; None before there are any."""
        return self._learner.model

    def remember(self, tasks: Sequence[Task], memory: Memory) -> None:
        """Begin with what stores know of tasks, and write there what is measured from now on.

        Call it once, before anything is searched.
        """
        self._bench.remember(tasks, memory)
        self._makers.known = self._bench.known

    def knows(self, task: Task) -> bool:
        """Whether a store has programs of a task, measured here."""
        return task.name in self._bench.known and bool(self._bench.known[task.name].trials)

    def close(self) -> None:
        """Stop what makes programs, whatever it does."""
        self._makers.close()

    def tune(self, task: Task, trials: int) -> TunedTask:
        """Search a task with at most so many trials; fewer where its space has fewer.

        Raises:
            InputError: TVM cannot sample the task.
            MeasurerError: measuring cannot go on, or neither the untuned nor a right program runs.
        """
        tuning = self.begin(task)
        batch = min(self._settings.batch, max(_LEAST_BATCH, trials // 4))
        while tuning.trials < trials:
            stepping = tuning.trials >= trials * (1 - self._settings.steps)
            if not tuning.advance(min(trials - tuning.trials, batch), stepping):
                break  # the space is dry
        tuned = tuning.finish()
        if math.isnan(tuned.latency_s):
            raise MeasurerError(
                f"{task.name}: neither the untuned program nor a right one of {tuned.trials} "
                f"trials runs here{f' ({tuned.failure})' if tuned.failure else ''}; see that this "
                "machine runs programs of the target, or try more trials"
            )
        return tuned

    def begin(self, task: Task) -> TaskTuning:
        """Begin to tune a task, which then goes on in slices: time the untuned program, draw.

        Raises:
            InputError: TVM cannot sample the task.
            MeasurerError: measuring cannot go on.
        """
        return TaskTuning(task, self._makers, self._bench)

    def expect(self, task: Task | None) -> None:
        """Say which task is likely to begin next, if any does.

        Its random programs are drawn while others are measured; `begin` then need not wait. What
        is found does not depend on it.
        """
        self._makers.expect(None if task is not None and self.knows(task) else task)
