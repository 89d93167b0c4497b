"""Tune some tasks: search, measure, check, and keep what was measured. Resuming is running again.

The search is fixed by its seed and by the outcomes, so what a journal holds is not measured again,
and a search that is run again goes on where it was.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from balto.campaign.journal import Journal, outcome_from_record, outcome_to_record
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.task import Task, task_seed
from balto.errors import MeasurerError, WorkerError
from balto.measure.measurer import Measurer
from balto.models.base import CostModel
from balto.tune.finalists import ROUNDS, finalists, settled
from balto.tune.learner import Learner
from balto.tune.records import AGAIN, BATCH, TRIAL
from balto.tune.search import SearchSettings, TaskSearch, warm
from balto.tune.stock import running_best
from balto.workers.worker import Worker

_CHECK_S = 300.0
#: Few trials are measured in quarters, to learn from each, but no fewer than these at a time.
_LEAST_BATCH = 4
#: Workers that make programs, on the cores on which nothing is timed.
_WORKERS = 2


class SessionListener:
    """What a tuning tells while it runs. Every method does nothing unless overridden."""

    def began(self, task: str, untuned_s: float) -> None:
        """A task's search begins; `untuned_s` is NaN where the untuned program cannot be timed."""

    def measured(self, task: str, outcome: Outcome, best_s: float) -> None:
        """A program of a task was measured; `best_s` is the smallest latency so far."""

    def again(self, task: str, programs: int) -> None:
        """So many of the fastest programs of a task are timed again."""

    def wrong(self, task: str, error: float) -> None:
        """The fastest program of a task does not compute the same; the next one is taken."""


@dataclass(frozen=True, kw_only=True)
class TunedTask:
    """What tuning a task found.

    Attributes:
        task: with its module.
        trace: JSON of the best program's trace; empty for the untuned program.
        latency_s: of that, seconds; of the untuned program if nothing was faster and right.
        untuned_s: of the module compiled as it is, seconds; NaN where that does not run.
        programs: ``(trace, outcome)`` of all trials, in order.
        best_s: smallest latency after each trial, seconds; infinity before the first success.
        asking_s: seconds in which nothing was measured because the search thought.
        seconds: wall clock.
        wrong: fast programs that computed something else.
        lost: how often making programs killed its process; those programs were left out.
    """

    task: Task
    trace: str
    latency_s: float
    untuned_s: float
    programs: Sequence[tuple[str, Outcome]] = field(repr=False)
    best_s: Sequence[float] = field(repr=False)
    asking_s: float
    seconds: float
    wrong: int
    lost: int

    @property
    def trials(self) -> int:
        """How many programs were measured."""
        return len(self.programs)

    @property
    def failure(self) -> str:
        """Why most trials failed, if all did; else empty."""
        messages = [outcome.message for _, outcome in self.programs if not outcome.ok]
        every = messages and len(messages) == self.trials
        return Counter(messages).most_common(1)[0][0] if every else ""


class Session:
    """Tunes tasks with one measurer and one learner: one to its end, or many in slices.

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
        self._measurer = measurer
        self._learner = Learner(model, seed)
        self._journal = journal
        self._settings = settings or SearchSettings()
        self._seed = seed
        self._listener = listener or SessionListener()
        self._facts: dict[tuple[str, str], list[Outcome]] = {}  # a trial, then what came again
        for each in records:
            if each.get("kind") in (TRIAL, AGAIN):
                known = self._facts.setdefault((each["task"], each["trace"]), [])
                known.append(outcome_from_record(each))
        self._measurements = 0
        free = measurer.free_cpus
        self._workers = [Worker(cpus=free) for _ in range(_WORKERS)]
        for worker in self._workers:
            worker.start()
        # What the workers are for, one thing after the other, while the session measures.
        self._making = ThreadPoolExecutor(1, initializer=os.sched_setaffinity, initargs=(0, free))
        self._drawn: dict[str, Future[TaskSearch]] = {}
        self._expected: Task | None = None
        warming = ThreadPoolExecutor(1)
        self._warm = warming.submit(warm)
        warming.shutdown(wait=False)

    @property
    def model(self) -> CostModel | None:
        """With what it learnt from the trials; None before there are any."""
        return self._learner.model

    def close(self) -> None:
        """Stop the workers, whatever they do."""
        for worker in self._workers:
            worker.end()
        self._making.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

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
        return TaskTuning(self, task)

    def expect(self, task: Task | None) -> None:
        """Say which task is likely to begin next, if any does.

        Its random programs are drawn while others are measured; `begin` then need not wait. What
        is found does not depend on it.
        """
        self._expected = task

    def _draw(self, task: Task) -> Future[TaskSearch]:
        """The search of a task, with random programs alone; drawn once."""
        if task.name not in self._drawn:
            seed = task_seed(self._seed, task.name)
            self._drawn[task.name] = self._making.submit(
                TaskSearch, task, self._learner, self._workers, self._settings, seed
            )
        return self._drawn[task.name]

    def _begin(self, task: Task) -> Future[TaskSearch]:
        """The search of a task, with its first generations."""
        drawn = self._draw(task)

        def begun() -> TaskSearch:
            search = drawn.result()
            self._warm.result()
            for _ in range(self._settings.generations):
                search.grow(max(1, self._settings.batch // self._settings.generations))
            return search

        return self._making.submit(begun)

    def _measure_and_grow(
        self,
        task: Task,
        search: TaskSearch,
        traces: Sequence[str],
        tell: Callable[[Outcome], None],
        last: bool,
    ) -> tuple[list[Outcome], float]:
        """Measure; meanwhile the next generation grows, and the next task's programs are drawn.

        Returns:
            Outcomes; seconds by which growing outlasted measuring.
        """
        growing = None if last else self._making.submit(search.grow, len(traces))
        if self._expected is not None:
            self._draw(self._expected)
        outcomes = self._measure(task, traces, tell)
        asked = time.perf_counter()
        if growing is not None:
            growing.result()
        return outcomes, time.perf_counter() - asked

    def _measure(
        self,
        task: Task,
        traces: Sequence[str],
        tell: Callable[[Outcome], None],
        before: int = 0,
    ) -> list[Outcome]:
        """Outcomes of programs, those that the journal knows from there.

        Args:
            task: of all of them.
            traces: one a program.
            tell: is told each outcome.
            before: how often each was measured before.
        """
        known = [self._facts.setdefault((task.name, trace), []) for trace in traces]
        missing = [k for k, facts in enumerate(known) if len(facts) <= before]
        for facts in known:
            if len(facts) > before:
                tell(facts[before])
        of_task = (facts for (name, _), facts in self._facts.items() if name == task.name)
        best_s = min((o.latency_s for facts in of_task for o in facts if o.ok), default=None)
        candidates = [Candidate(task, 0, k, traces[k], best_s) for k in missing]
        for k, outcome in self._measurer.measure(candidates) if candidates else ():
            known[missing[k]].append(outcome)
            self._measurements += 1
            record = {"kind": AGAIN if before else TRIAL, "task": task.name}
            self._keep({**record, "trace": candidates[k].trace, **outcome_to_record(outcome)})
            tell(outcome)
        return [facts[before] for facts in known]

    def _timed_again(
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
                self._listener.again(task.name, len(traces))
            again = self._measure(task, traces, lambda _: None, before=turn)
            for k, outcome in zip(contending, again, strict=True):
                outcomes[k].append(outcome)
        return [(trace, settled(each)) for (trace, _), each in zip(programs, outcomes, strict=True)]

    def _keep(self, record: Mapping[str, Any]) -> None:
        if self._journal is not None:
            self._journal.append(record)

    def _best_right(
        self, task: Task, programs: Sequence[tuple[str, Outcome]], untuned_s: float
    ) -> tuple[str, float, int]:
        """Trace and latency of the fastest program that computes what the task does."""
        worked = [(o.latency_median_s, k) for k, (_, o) in enumerate(programs) if o.ok]
        wrong = 0
        for seconds, k in sorted(worked):
            if seconds >= untuned_s:
                break
            error = self._error(task, programs[k][0])
            if error <= 1:
                return programs[k][0], seconds, wrong
            wrong += 1
            self._listener.wrong(task.name, error)
        return "", untuned_s, wrong

    def _error(self, task: Task, trace: str) -> float:
        error = self._making.submit(
            self._workers[0].call_with_retries,
            *("balto.tune.deploy:error_of", task.module, trace, task.target),
            deadline_s=_CHECK_S,
        )
        try:
            return float(error.result())
        except WorkerError:
            return math.inf


class TaskTuning:
    """One task under way; `Session.begin` makes it.

    What it does next is fixed by the seed, the outcomes, and by how the trials of all tasks of the
    session follow each other: they share what is learnt.

    Attributes:
        task: with its module.
    """

    def __init__(self, session: Session, task: Task) -> None:
        self.task = task
        self._session = session
        began = time.perf_counter()
        self._programs: list[tuple[str, Outcome]] = []
        self._latency_s: list[float] = []  # of each trial, NaN for a failure
        self._best_s = math.inf
        beginning = session._begin(task)
        [self._untuned] = session._measure(task, [""], lambda _: None)
        asked = time.perf_counter()
        self._search = beginning.result()
        self._asking_s = time.perf_counter() - asked
        self._seconds = time.perf_counter() - began
        self._noted = (0.0, 0.0)  # seconds and asking seconds that the journal knows
        session._listener.began(task.name, self.untuned_s)

    @property
    def untuned_s(self) -> float:
        """Seconds of the module compiled as it is; NaN where that does not run."""
        return self._untuned.latency_median_s if self._untuned.ok else math.nan

    @property
    def trials(self) -> int:
        """How many programs were measured."""
        return len(self._programs)

    @property
    def best_s(self) -> list[float]:
        """Smallest latency after each trial, seconds; infinity before the first success."""
        return running_best(self._latency_s)

    def advance(self, count: int, stepping: bool = False) -> int:
        """Measure at most so many more programs, and learn from them.

        Args:
            count: how many.
            stepping: try neighbours of the best programs; the trials then come to their end.

        Returns:
            How many were measured; 0 if the space is dry.
        """
        session, search, began = self._session, self._search, time.perf_counter()
        stepping = stepping and bool(self._programs)
        if stepping:
            session._making.submit(search.step, count).result()
        chosen = search.choose(count, 1.0 if stepping else None)
        traces = [search.traces[p] for p in chosen]
        self._asking_s += time.perf_counter() - began
        if not chosen:
            return 0
        known = session._measurements
        outcomes, waited_s = session._measure_and_grow(
            self.task, search, traces, self._tell, stepping
        )
        asked = time.perf_counter()
        self._programs += zip(traces, outcomes, strict=True)
        latency_s = [o.latency_median_s if o.ok else math.nan for o in outcomes]
        self._latency_s += latency_s
        search.learn(dict(zip(chosen, latency_s, strict=True)))
        ended = time.perf_counter()
        self._asking_s += waited_s + ended - asked
        self._seconds += ended - began
        self._note(session._measurements > known)
        return len(chosen)

    def finish(self) -> TunedTask:
        """The fastest right program, the best timed again; the untuned one if none is faster.

        Its latency is NaN if neither runs.
        """
        began = time.perf_counter()
        session, known = self._session, self._session._measurements
        # With the untuned program: no program may win because that had a slow moment.
        every = [("", self._untuned), *self._programs]
        (_, self._untuned), *self._programs = session._timed_again(self.task, every)
        self._seconds += time.perf_counter() - began
        self._note(session._measurements > known)
        began = time.perf_counter()
        trace, latency_s, wrong = self._session._best_right(
            self.task, self._programs, self.untuned_s
        )
        self._seconds += time.perf_counter() - began
        return TunedTask(
            task=self.task,
            trace=trace,
            latency_s=latency_s,
            untuned_s=self.untuned_s,
            programs=self._programs,
            best_s=self.best_s,
            asking_s=self._asking_s,
            seconds=self._seconds,
            wrong=wrong,
            lost=self._search.lost,
        )

    def _note(self, new: bool) -> None:
        """Keep what a batch took, unless the journal knew it: then it took nothing."""
        if new:
            spent = {
                "seconds": self._seconds - self._noted[0],
                "asking_s": self._asking_s - self._noted[1],
            }
            self._session._keep({"kind": BATCH, "task": self.task.name, **spent})
        self._noted = (self._seconds, self._asking_s)

    def _tell(self, outcome: Outcome) -> None:
        self._best_s = min(self._best_s, outcome.latency_median_s if outcome.ok else math.inf)
        self._session._listener.measured(self.task.name, outcome, self._best_s)
