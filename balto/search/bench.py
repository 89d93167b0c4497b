"""What measures the programs of a search, and remembers what it measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.plausible import plausible
from balto.data.task import Task
from balto.journal.file import Journal
from balto.journal.records import outcome_to_record, possible_outcome
from balto.measure.measurer import Measurer
from balto.search.finalists import ROUNDS, finalists, settled
from balto.search.listener import SessionListener
from balto.search.recall import still_true
from balto.search.records import AGAIN, RECALLED, TRIAL, recalled_in
from balto.store.known import FromStore, Known
from balto.store.memory import Memory
from balto.store.writer import Writer


class Bench:
    """Measures programs, each once; what the journal knows is not measured again.

    Args:
        measurer: closed by whoever made it.
        journal: keeps what is measured; None to keep nothing.
        records: what the journal held.
        listener: is told what happens.

    Attributes:
        listener: as given.
        measurements: how many programs were measured here, those of the journal left out.
        known: what stores know of tasks, by their names.
    """

    def __init__(
        self,
        measurer: Measurer,
        journal: Journal | None,
        records: Iterable[Mapping[str, Any]],
        listener: SessionListener,
    ) -> None:
        self.listener, self.measurements = listener, 0
        self._measurer, self._journal = measurer, journal
        self._facts: dict[tuple[str, str], list[Outcome]] = {}  # a trial, then what came again
        self._writer: Writer | None = None
        self.known: Mapping[str, Known] = {}
        for each in records:
            if each.get("kind") == RECALLED:
                self._recall(recalled_in(each))
            if each.get("kind") in (TRIAL, AGAIN):
                known = self._facts.setdefault((each["task"], each["trace"]), [])
                known.append(possible_outcome(each))

    def remember(self, tasks: Sequence[Task], memory: Memory) -> None:
        """Take what stores know of tasks, and write there what is measured from now on.

        A journal that has measurements, or what stores knew, has decided what is taken.
        """
        self._writer = memory.writer
        if not self._facts and not self.known:
            measure = self._measurer.measure
            found = still_true(memory.known(tasks), tasks, measure, memory.writer, self.listener)
            if found:
                told = {name: known.to_record() for name, known in found.items()}
                self.keep({"kind": RECALLED, "tasks": told})
            self._recall(found)
        if (taken := FromStore.of(self.known.values())).tasks:
            self.listener.recalled(taken)

    def checked(self, task: Task, trace: str, error: float) -> None:
        """A program was compared with the untuned one."""
        if self._writer is not None:
            self._writer.checked(task, trace, error, "untuned")

    def finished(self, task: Task, dry: bool) -> None:
        """No more of a task is measured; `dry` says that there was no more."""
        if self._writer is not None:
            self._writer.finished(task, dry)

    def _recall(self, found: Mapping[str, Known]) -> None:
        self.known = found
        for name, known in found.items():
            for trace, outcomes in known.programs.items():
                self._facts[name, trace] = list(outcomes)

    def measure(
        self,
        task: Task,
        traces: Sequence[str],
        tell: Callable[[Outcome], None] = lambda _: None,
        before: int = 0,
        limits: Sequence[float] | None = None,
    ) -> list[Outcome]:
        """Outcomes of programs, those that the journal knows from there.

        Args:
            task: of all of them.
            traces: one a program.
            tell: is told each outcome.
            before: how often each was measured before.
            limits: seconds after which the build of each is ended as too dear.
        """
        known = [self._facts.setdefault((task.name, trace), []) for trace in traces]
        missing = [k for k, facts in enumerate(known) if len(facts) <= before]
        for facts in known:
            if len(facts) > before:
                tell(facts[before])
        of_task = (facts for (name, _), facts in self._facts.items() if name == task.name)
        best_s = min((o.latency_s for facts in of_task for o in facts if o.ok), default=None)
        ends = limits or [math.inf] * len(traces)
        candidates = [Candidate(task, 0, k, traces[k], best_s, ends[k]) for k in missing]
        for k, measured in self._measurer.measure(candidates) if candidates else ():
            outcome = plausible(measured, task.flop)
            known[missing[k]].append(outcome)
            self.measurements += 1
            if self._writer is not None:  # first: what the journal has, the store has too
                self._writer.trial(task, candidates[k].trace or "", outcome)
            record = {"kind": AGAIN if before else TRIAL, "task": task.name}
            self.keep({**record, "trace": candidates[k].trace, **outcome_to_record(outcome)})
            tell(outcome)
        return [facts[before] for facts in known]

    def timed_again(
        self, task: Task, programs: Sequence[tuple[str, Outcome]]
    ) -> list[tuple[str, Outcome]]:
        """Programs, the untuned one first, the fastest timed again; each as all its times say."""
        outcomes = [[outcome] for _, outcome in programs]
        contending = list(range(len(programs)))
        for turn in range(1, ROUNDS + 1):
            so_far = [settled(outcomes[k]) for k in contending]
            fastest = finalists(so_far, len(programs) - 1, turn)
            contending = [contending[k] for k in fastest]
            traces = [programs[k][0] for k in contending]
            if turn == 1 and any(len(self._facts[task.name, trace]) == 1 for trace in traces):
                self.listener.retiming(task.name, len(traces))
            again = self.measure(task, traces, before=turn)
            for k, outcome in zip(contending, again, strict=True):
                outcomes[k].append(outcome)
        return [(trace, settled(each)) for (trace, _), each in zip(programs, outcomes, strict=True)]

    def keep(self, record: Mapping[str, Any]) -> None:
        """Write a record to the journal, if there is one."""
        if self._journal is not None:
            self._journal.append(record)
