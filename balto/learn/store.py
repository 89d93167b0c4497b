"""What is known: outcomes, shared by all selectors, and each selector's rounds.

These classes keep them in memory; a campaign's subclasses keep them in its journal too. The loop
never measures or selects again what is already known: that is all there is to resuming.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.outcomes import Outcomes
from balto.data.plausible import plausible
from balto.data.pool import Pool
from balto.learn.round import Round
from balto.measure.measurer import Measurer


class OutcomeStore:
    """What measuring gave, by task *name* and program.

    Laws, which every store keeps and `balto.testing.OutcomeStoreContract` checks:

    1. An outcome is there as soon as `add` returns, under its task and program, and in `best_s`,
       `counts`, `seconds` and the length.
    2. A program has one outcome: a later one takes the place of the one before, and the same one
       again changes nothing. Otherwise the order in which outcomes come makes no difference.
    3. `add_many` is `add` for each of its programs, in their order.
    4. A store that keeps its outcomes elsewhere has handed each one over when `add` returns, or has
       raised `StorageError`. A store that is opened there afterwards knows it, though this process
       be killed.
    5. The store owns what `of` gives: it may be read until the next `add`, and never be written.
    6. A store is no place for threads to meet: one thread at a time calls its methods.

    Args:
        shared: another store, whose contents are those of this one too.
    """

    def __init__(self, shared: OutcomeStore | None = None) -> None:
        self._tasks: dict[str, Outcomes] = {} if shared is None else shared._tasks

    @classmethod
    def of_pool(cls, pool: Pool) -> OutcomeStore:
        """What a recorded pool says of all its programs.

        Args:
            pool: with outcomes.

        Returns:
            A store of its own.
        """
        store = cls()
        for k, task in enumerate(pool.tasks):
            store._tasks[task.name] = pool.outcomes.take(np.asarray(pool.programs(k)))
        return store

    def of(self, task: str, size: int = 0) -> Outcomes:
        """The outcomes of a task's programs, at least `size` of them; not to be written to.

        Args:
            task: its name.
            size: how many programs the task has.

        Returns:
            One a program; those that are not measured are so marked.
        """
        known = self._tasks.get(task)
        if known is None or len(known) < size:
            more = Outcomes(size - (0 if known is None else len(known)))
            known = more if known is None else Outcomes.concatenate([known, more])
            self._tasks[task] = known
        return known

    def add(self, task: str, program: int, outcome: Outcome) -> None:
        """Keep an outcome.

        Args:
            task: its name.
            program: its number within the task.
            outcome: what measuring it gave.
        """
        known = self._tasks.get(task)
        if known is None or len(known) <= program:  # doubled: programs come one by one
            known = self.of(task, max(program + 1, 2 * len(self._tasks.get(task, ()))))
        known[program] = outcome

    def add_many(self, task: str, programs: NDArray[np.integer], outcomes: Outcomes) -> None:
        """Keep the outcomes of some programs, in their order, as if they came one by one.

        Args:
            task: its name.
            programs: their numbers within the task.
            outcomes: as many.
        """
        self.of(task, int(programs.max()) + 1).put(programs, outcomes)

    def best_s(self, task: str) -> float | None:
        """Smallest latency known of a task, seconds; None if none is.

        Args:
            task: its name.

        Returns:
            Of those that are `ok`.
        """
        known = self._tasks.get(task)
        latency = known.latency_s[known.ok] if known is not None else ()
        return float(np.min(latency)) if len(latency) else None

    def __iter__(self) -> Iterator[str]:
        """Names of the tasks of which something may be known."""
        return iter(self._tasks)

    def __len__(self) -> int:
        """How many programs were measured."""
        return sum(int(each.measured.sum()) for each in self._tasks.values())

    @property
    def seconds(self) -> float:
        """What building and measuring all of them cost, seconds."""
        return float(sum(each.seconds[each.measured].sum() for each in self._tasks.values()))

    def counts(self) -> Counter[str]:
        """How many measurements ended in which status.

        Returns:
            Number by status.
        """
        return sum((each.counts() for each in self._tasks.values()), Counter())


@dataclass(frozen=True)
class Selection:
    """What one round chose.

    Attributes:
        picks: programs by task name, in the order of choice.
        rules: which rule chose how many.
    """

    picks: Mapping[str, Sequence[int]]
    rules: Mapping[str, int]


class RoundLog:
    """The selections and results of one selector's rounds.

    Laws, which every log keeps and `balto.testing.RoundLogContract` checks:

    1. `selection` gives what `add_selection` was given last for that number: the same programs in
       the same order, and the same rules. It is None where nothing was given.
    2. Numbers do not depend on each other, nor on the order in which they come.
    3. A selection is kept before `add_selection` returns, since its programs are measured next. A
       log that keeps it elsewhere has it on disk by then: it is there though the machine stop.
    4. `add_round` changes no selection, and the same result again is as if it had come once.
    5. A log is one selector's: those of others that are kept in the same place do not show in it.
    6. A log is no place for threads to meet: one thread at a time calls its methods.
    """

    def __init__(self) -> None:
        self._selections: dict[int, Selection] = {}

    @property
    def late(self) -> frozenset[str]:
        """Names of tasks that were added when rounds had already been chosen without them."""
        return frozenset()

    def selection(self, number: int) -> Selection | None:
        """What round `number` chose, if it did.

        Args:
            number: of the round.

        Returns:
            What was chosen; None if nothing was yet.
        """
        return self._selections.get(number)

    def add_selection(self, number: int, selection: Selection) -> None:
        """Keep a round's selection, before it is measured.

        Args:
            number: of the round.
            selection: what it chose.
        """
        self._selections[number] = selection

    def add_round(self, result: Round) -> None:
        """Keep a round's result.

        Args:
            result: of the round.
        """


def measure_missing(
    pool: Pool,
    programs: Mapping[int, Sequence[int]],
    store: OutcomeStore,
    measurer: Measurer,
    limits: NDArray[np.float64] | None = None,
) -> None:
    """Measure those programs that were not measured yet, and keep each outcome as it comes.

    Args:
        pool: with the tasks and traces.
        programs: of each task, by its place in the pool.
        store: what is known, and where outcomes go.
        measurer: measures them.
        limits: of all programs of the pool, seconds after which a build is ended as too dear.

    A latency that cannot be is kept as a failure (`balto.data.plausible`).

    Raises:
        MeasurerError: If measuring cannot go on; what was measured before is kept.
    """
    candidates = []
    ends = np.full(len(pool), np.inf) if limits is None else limits
    for k, wanted in sorted(programs.items()):
        task = pool.tasks[k]
        measured = store.of(task.name, len(pool.programs(k))).measured
        first = int(pool.offsets[k])
        best_s = store.best_s(task.name)
        candidates += [
            Candidate(task, k, int(p), pool.trace(k, int(p)), best_s, ends[first + int(p)])
            for p in wanted
            if not measured[p]
        ]
    if candidates:
        for i, outcome in measurer.measure(candidates):
            task = candidates[i].task
            store.add(task.name, candidates[i].program_id, plausible(outcome, task.flop))
