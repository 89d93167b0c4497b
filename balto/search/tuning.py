"""One task under way in a search, and what was found of it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from balto.data.outcome import SLOW, Outcome, Status
from balto.data.task import Task
from balto.search.bench import Bench
from balto.search.finalists import running_best
from balto.search.makers import Makers, waited
from balto.search.records import BATCH
from balto.search.task import TaskSearch
from balto.store.known import FromStore, Known


@dataclass(frozen=True, kw_only=True)
class TunedTask:
    """What tuning a task found.

    Attributes:
        task: with its module.
        trace: JSON of the best program's trace; empty for the untuned program. Of a task that had
            no trial, of the model's favourite.
        latency_s: of that, seconds; of the untuned program if nothing was faster and right. NaN
            for a favourite: it was not measured.
        untuned_s: of the module compiled as it is, seconds; NaN where that does not run, or was not
            measured.
        programs: ``(trace, outcome)`` of all trials, as they were chosen; as they were measured, of
            a search that was over before.
        best_s: smallest latency after each trial, seconds; infinity before the first success.
        asking_s: seconds in which nothing was measured because the search thought.
        seconds: wall clock.
        wrong: fast programs that computed something else.
        lost: how often making programs killed its process; those programs were left out.
        store: how many of the programs a store knew.
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
    store: FromStore = field(default_factory=FromStore)

    @property
    def trials(self) -> int:
        """How many programs were measured, here or by whom a store has them from."""
        return len(self.programs)

    @property
    def unmeasured(self) -> bool:
        """Whether no program of the task was measured: the model alone chose one, or none."""
        return not self.programs and math.isnan(self.untuned_s)

    @property
    def failure(self) -> str:
        """Why most trials failed, if all did; else empty."""
        messages = [outcome.message for _, outcome in self.programs if not outcome.ok]
        every = messages and len(messages) == self.trials
        return Counter(messages).most_common(1)[0][0] if every else ""


class TaskTuning:
    """One task under way; `balto.search.session.Session.begin` makes it.

    What it does next is fixed by the seed, the outcomes, and by how the trials of all tasks of the
    session follow each other: they share what is learnt.

    Args:
        task: with its module.
        makers: draw its programs, and let generations of them grow.
        bench: measures them.
        share: of its network's latency.

    Raises:
        InputError: TVM cannot sample the task.
        MeasurerError: measuring cannot go on.
    """

    def __init__(self, task: Task, makers: Makers, bench: Bench, share: float = 1.0) -> None:
        self.task, self._makers, self._bench = task, makers, bench
        began = time.perf_counter()
        self._programs: list[tuple[str, Outcome]] = []
        self._latency_s: list[float] = []  # of each trial, NaN for a failure
        self._best_s = math.inf
        known = bench.known.get(task.name, Known())
        self._stored = list(known.trials.items())
        self._taken, self._dry = 0, known.dry
        self._asking_s = 0.0
        self._search: TaskSearch | None = None
        beginning = None if self._stored else makers.begin(task, share)
        [self._untuned] = bench.measure(task, [""])
        if beginning is not None:
            self._begin(beginning)
        self._seconds = time.perf_counter() - began
        self._noted = (0.0, 0.0)  # seconds and asking seconds that the journal knows
        bench.listener.began(task.name, self.untuned_s)

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
        if self._taken < len(self._stored):
            return self._take(self._stored[self._taken : self._taken + count])
        if self._dry:
            return 0
        bench, began = self._bench, time.perf_counter()
        search = self._search or self._begin(self._makers.begin(self.task))
        stepping = stepping and bool(self._programs)
        if stepping:
            waited(self._makers.submit(search.step, count), self._drawing)
        chosen = search.choose(count, 1.0 if stepping else None)
        traces = [search.traces[p] for p in chosen]
        self._asking_s += time.perf_counter() - began
        if not chosen:
            self._dry = True
            return 0
        known = bench.measurements
        limits = search.build_limits(chosen)
        outcomes, waited_s = self._measure_and_grow(search, traces, limits, last=stepping)
        asked = time.perf_counter()
        self._programs += zip(traces, outcomes, strict=True)
        latency_s = [o.latency_median_s if o.ok else math.nan for o in outcomes]
        self._latency_s += latency_s
        search.learn_costs(chosen, outcomes)
        search.learn(dict(zip(chosen, self._taught(outcomes), strict=True)))
        ended = time.perf_counter()
        self._asking_s += waited_s + ended - asked
        self._seconds += ended - began
        self._note(bench.measurements > known)
        return len(chosen)

    def finish(self) -> TunedTask:
        """The fastest right program, the best timed again; the untuned one if none is faster.

        Its latency is NaN if neither runs.

        Returns:
            What was found.
        """
        began = time.perf_counter()
        bench, known = self._bench, self._bench.measurements
        self._take(self._stored[self._taken :], tell=False)
        # With the untuned program: no program may win because that had a slow moment.
        every = [("", self._untuned), *self._programs]
        (_, self._untuned), *self._programs = bench.timed_again(self.task, every)
        self._seconds += time.perf_counter() - began
        self._note(bench.measurements > known)
        began = time.perf_counter()
        trace, latency_s, wrong = fastest_right(
            self._programs,
            self.untuned_s,
            self._error_of,
            lambda error: bench.listener.wrong(self.task.name, error),
        )
        self._seconds += time.perf_counter() - began
        bench.finished(self.task, self._dry)
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
            lost=self._search.lost if self._search is not None else 0,
            store=FromStore.of([bench.known.get(self.task.name, Known())]),
        )

    def _begin(self, beginning: Future[TaskSearch]) -> TaskSearch:
        """Wait for the task's first generations."""
        asked = time.perf_counter()
        self._search = waited(beginning, self._drawing)
        self._asking_s += time.perf_counter() - asked
        return self._search

    def _take(self, programs: Sequence[tuple[str, Outcome]], tell: bool = True) -> int:
        """Take programs of a store as trials; returns how many."""
        self._taken += len(programs)
        self._programs += programs
        self._latency_s += [o.latency_median_s if o.ok else math.nan for _, o in programs]
        for _, outcome in programs if tell else ():
            self._tell(outcome)
        return len(programs)

    def _error_of(self, trace: str) -> float:
        error = self._makers.error_of(self.task, trace)
        self._bench.checked(self.task, trace, error)
        return error

    def _measure_and_grow(
        self, search: TaskSearch, traces: Sequence[str], limits: Sequence[float], last: bool
    ) -> tuple[list[Outcome], float]:
        """Measure; meanwhile the next generation grows, and the next task's programs are drawn.

        Returns:
            Outcomes; seconds by which growing outlasted measuring.
        """
        growing = None if last else self._makers.submit(search.grow, len(traces))
        self._makers.draw_expected()
        outcomes = self._bench.measure(self.task, traces, self._tell, limits=limits)
        asked = time.perf_counter()
        if growing is not None:
            waited(growing, self._drawing)
        return outcomes, time.perf_counter() - asked

    def _taught(self, outcomes: Sequence[Outcome]) -> list[float]:
        """Latencies to learn from, NaN for a failure; what was too dear to build counts as slow."""
        best_s = self.best_s[-1] if math.isfinite(self.best_s[-1]) else math.nan
        slow_s = best_s / SLOW
        return [
            o.latency_median_s if o.ok else slow_s if o.status is Status.TOO_DEAR else math.nan
            for o in outcomes
        ]

    def _note(self, new: bool) -> None:
        """Keep what a batch took, unless the journal knew it: then it took nothing."""
        if new:
            spent = {
                "seconds": self._seconds - self._noted[0],
                "asking_s": self._asking_s - self._noted[1],
            }
            self._bench.keep({"kind": BATCH, "task": self.task.name, **spent})
        self._noted = (self._seconds, self._asking_s)

    def _drawing(self, so_far_s: float) -> None:
        self._bench.listener.drawing(self.task.name, so_far_s)

    def _tell(self, outcome: Outcome) -> None:
        self._best_s = min(self._best_s, outcome.latency_median_s if outcome.ok else math.inf)
        self._bench.listener.measured(self.task.name, outcome, self._best_s)


def fastest_right(
    programs: Sequence[tuple[str, Outcome]],
    untuned_s: float,
    error_of: Callable[[str], float],
    wrong: Callable[[float], None],
) -> tuple[str, float, int]:
    """The fastest program that computes what its task does.

    Args:
        programs: trace and outcome of each.
        untuned_s: seconds of the untuned program, which is right; only faster ones are looked at.
        error_of: how far the program of a trace is from the untuned one, in tolerances.
        wrong: is told the error of each that computes something else.

    Returns:
        Its trace, empty for the untuned program; its seconds; how many faster ones were wrong.
    """
    worked = [(o.latency_median_s, k) for k, (_, o) in enumerate(programs) if o.ok]
    count = 0
    for seconds, k in sorted(worked):
        if seconds >= untuned_s:
            break
        error = error_of(programs[k][0])
        if error <= 1:
            return programs[k][0], seconds, count
        count += 1
        wrong(error)
    return "", untuned_s, count
