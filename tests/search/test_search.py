"""Our own search, with TVM's programs and a device whose latencies are a function of the trace."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import psutil
import pytest

import balto
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome, Status
from balto.errors import InputError, MeasurerError
from balto.journal.file import Journal, read
from balto.measure.measurer import Measurer
from balto.search.finalists import ROUNDS
from balto.search.learner import Learner
from balto.search.listener import SessionListener
from balto.search.session import Session
from balto.search.task import SearchSettings, TaskSearch, _in_turns
from balto.select.registry import SELECTORS
from balto.workers.worker import Worker
from tests.workers.killed_workers import gone, killed

pytest.importorskip("tvm")

pytestmark = pytest.mark.slow

SMALL = SearchSettings(population=24, drafted=256, verified=2, generations=1, batch=4)


class MadeUpDevice(Measurer):
    """A program is the faster, the nearer its innermost tiles are to 8; some fail."""

    def __init__(self) -> None:
        self.measured: list[str] = []

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        for k, candidate in enumerate(candidates):
            self.measured.append(candidate.trace or "")
            seconds = latency(candidate.trace or "")
            if len(candidate.trace or "") % 7 == 1:
                yield k, Outcome(Status.RUN_ERROR, message="made up")
            else:
                yield k, Outcome(Status.OK, seconds, seconds, 0.1, 0.1, 3, 0.0)


def latency(trace: str) -> float:
    if not trace:
        return 1.0
    tiles = [d for _, d in json.loads(trace)[1] if isinstance(d, list)]
    return 1e-3 * (1 + sum(abs(log2(tile[-1]) - 3) for tile in tiles))


@pytest.fixture(scope="module")
def task() -> balto.Task:
    [found] = balto.extract_tasks([], ["matmul:64x64x64"]).tasks
    return found


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    with Worker() as first, Worker() as second:
        yield [first, second]


def told(search: TaskSearch, programs: Sequence[int]) -> None:
    search.learn({p: latency(search.traces[p]) for p in programs})


def test_workers_that_are_killed_from_outside_change_nothing(
    task: balto.Task, workers: list[Worker]
) -> None:
    calm = TaskSearch(task, Learner(None), workers, SMALL, seed=1)
    with Worker() as victim, killed(victim, "", times=2) as pids:
        hit = TaskSearch(task, Learner(None), [victim, workers[1]], SMALL, seed=1)
    assert len(pids) == 2
    assert hit.traces == calm.traces
    assert hit.lost == 0


def test_a_batch_is_distinct_and_nothing_is_measured_twice(
    task: balto.Task, workers: list[Worker]
) -> None:
    search = TaskSearch(task, Learner(None), workers, SMALL, seed=1)
    seen: list[int] = []
    for _ in range(4):
        chosen = search.choose(4)
        told(search, chosen)
        search.grow()
        seen += chosen
    assert len(set(seen)) == len(seen) == 16
    assert len({search.traces[p] for p in seen}) == 16


def test_generations_find_better_programs_than_were_drawn(
    task: balto.Task, workers: list[Worker]
) -> None:
    search = TaskSearch(task, Learner(None), workers, SMALL, seed=1)
    drawn = range(len(search))
    told(search, drawn)
    for _ in range(3):
        search.grow()
    grown = range(len(drawn), len(search))
    mean = [np.mean([latency(search.traces[p]) for p in part]) for part in (drawn, grown)]
    assert mean[1] < mean[0]


def test_steps_are_neighbours_of_the_best(task: balto.Task, workers: list[Worker]) -> None:
    search = TaskSearch(task, Learner(None), workers, SMALL, seed=1)
    told(search, range(len(search)))
    best, before = search.best, len(search)
    assert best is not None
    search.step()
    decided = [sorted(map(str, json.loads(t)[1])) for t in search.traces]
    changed = [len(set(decided[p]) - set(decided[best])) for p in range(before, len(search))]
    assert changed
    assert min(changed) == 1


def test_failures_are_not_the_best(task: balto.Task, workers: list[Worker]) -> None:
    search = TaskSearch(task, Learner(None), workers, SMALL, seed=1)
    search.learn({0: float("nan"), 1: 2.0, 2: 1.0})
    assert search.best == 2


def tuned(
    task: balto.Task, device: MadeUpDevice, path: Path, trials: int = 12
) -> list[tuple[str, Outcome]]:
    """The programs of a journalled session, in order."""
    with Journal.open(path) as journal:
        session = Session(device, None, journal, list(read(path)), SMALL, seed=3)
        try:
            return list(session.tune(task, trials).programs)
        finally:
            session.close()


def test_few_trials_are_measured_in_quarters(task: balto.Task) -> None:
    class Counts(MadeUpDevice):
        """Remembers how many programs came at a time."""

        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            batches.append(len(candidates))
            return super().measure(candidates)

    batches: list[int] = []
    session = Session(Counts(), None, settings=replace(SMALL, batch=8), seed=3)
    try:
        assert session.tune(task, 22).trials == 22
    finally:
        session.close()
    assert batches[:7] == [1, 5, 5, 5, 5, 2, 6]  # first the untuned program, at last the best again


def test_the_fastest_are_timed_again_on_a_machine_that_is_slow_at_times(
    task: balto.Task, tmp_path: Path
) -> None:
    """Each program is slow the first time, some more than others: a journal keeps every time."""

    def true_s(trace: str) -> float:
        """So near to each other that none is ahead alone."""
        return 1e-3 + latency(trace) / 100

    class SlowAtFirst(MadeUpDevice):
        """A program that comes again is faster, and once much too fast."""

        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            times = [self.measured.count(c.trace) for c in candidates]
            for k, outcome in super().measure(candidates):
                trace = candidates[k].trace or ""
                share = (1.5 + crc32(trace.encode()) % 2, 0.9, 1.0)[times[k]]
                latency_s = true_s(trace) * share
                yield k, replace(outcome, latency_s=latency_s, latency_median_s=latency_s)

    device = SlowAtFirst()
    programs = dict(tuned(task, device, tmp_path / "journal.jsonl", trials=20))
    times = {trace: device.measured.count(trace) for trace in programs}
    again = [trace for trace, count in times.items() if count > 1]
    assert len(again) == 6
    best = min((o.latency_median_s, trace) for trace, o in programs.items() if o.ok)[1]
    assert true_s(best) == min(map(true_s, again))
    assert {times[trace] for trace in again} == {1 + ROUNDS}
    assert all(programs[trace].latency_median_s == true_s(trace) for trace in again)
    kinds = [record["kind"] for record in read(tmp_path / "journal.jsonl")]
    assert kinds.count("trial") == 21
    assert kinds.count("again") == sum(times.values()) - 20


def test_no_program_wins_because_the_untuned_one_had_a_slow_moment(task: balto.Task) -> None:
    at_first_s = 2.5e-3

    class UntunedSlowAtFirst(MadeUpDevice):
        """The untuned program is the fastest of all, but at first only one of the fastest."""

        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            before = self.measured.count("")
            for k, outcome in super().measure(candidates):
                seconds = outcome.latency_median_s
                if not candidates[k].trace:
                    seconds = 1e-6 if before else at_first_s
                yield k, replace(outcome, latency_s=seconds, latency_median_s=seconds)

    session = Session(UntunedSlowAtFirst(), None, settings=SMALL, seed=4)
    try:
        found = session.tune(task, 30)
    finally:
        session.close()
    assert min(o.latency_median_s for _, o in found.programs if o.ok) < at_first_s
    assert not found.trace
    assert found.latency_s == found.untuned_s == 1e-6


@pytest.mark.parametrize(("kind", "kept"), [("trial", 6), ("again", 1)])
def test_a_resumed_search_proposes_what_it_would_have_and_measures_only_the_rest(
    task: balto.Task, tmp_path: Path, kind: str, kept: int
) -> None:
    whole = tuned(task, MadeUpDevice(), tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    cut = [k for k, line in enumerate(lines) if f'"kind":"{kind}"'.encode() in line][kept]
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[:cut]) + lines[cut][:20])  # as by kill -9
    device = MadeUpDevice()
    resumed = tuned(task, device, tmp_path / "cut.jsonl")
    assert [trace for trace, _ in resumed] == [trace for trace, _ in whole]
    missing = [line for line in lines[cut:] if b'"trace"' in line]
    assert len(device.measured) == len(missing) > 0
    again = MadeUpDevice()
    assert tuned(task, again, tmp_path / "cut.jsonl") == resumed
    assert not again.measured


@pytest.mark.parametrize(
    ("fast", "untuned_s", "found", "wrong"),
    [
        (["rounded", "right"], 1.0, "right", 1),
        (["rounded"], 1e-3, "", 1),
        (["right"], 1e-6, "", 0),  # the untuned program is faster: nothing is checked
    ],
)
def test_a_program_that_computes_something_else_is_left_out_loudly(
    task: balto.Task,
    monkeypatch: pytest.MonkeyPatch,
    fast: list[str],
    untuned_s: float,
    found: str,
    wrong: int,
) -> None:
    with Worker() as worker:
        traces: dict[str, str] = {
            "rounded": worker.call(
                "tests.tune.whole_searches:rounded_trace", task.module, deadline_s=60
            ),
            "right": worker.call(
                "tests.tune.whole_searches:right_trace", task.module, deadline_s=60
            ),
        }
    seconds = {"": untuned_s, traces["rounded"]: 1e-6, traces["right"]: 1e-5}
    heard: list[float] = []

    class Given(TaskSearch):
        """Proposes what it is given first."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.traces[: len(fast)] = [traces[name] for name in fast]

        def choose(self, count: int, favourites: float | None = None) -> list[int]:  # noqa: ARG002
            return [p for p in range(len(self)) if p not in self.latency_s][:count]

    class Known(MadeUpDevice):
        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            for k, candidate in enumerate(candidates):
                took = seconds.get(candidate.trace or "", 1e-2)
                yield k, Outcome(Status.OK, took, took)

    class Hears(SessionListener):
        def wrong(self, task: str, error: float) -> None:  # noqa: ARG002
            heard.append(error)

    monkeypatch.setattr("balto.search.makers.TaskSearch", Given)
    session = Session(Known(), None, listener=Hears(), settings=SMALL)
    try:
        tuned = session.tune(task, 4)
    finally:
        session.close()
    assert tuned.trace == traces.get(found, "")
    assert tuned.latency_s == seconds[tuned.trace]
    assert tuned.wrong == len(heard) == wrong
    assert all(error > 1 for error in heard)


def test_the_expected_task_is_drawn_while_another_is_measured_and_found_the_same(
    task: balto.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    [other] = balto.extract_tasks([], ["matmul:32x64x64"]).tasks
    drawn = threading.Event()

    class Tells(TaskSearch):
        """Says when the programs of the other task are drawn."""

        def __init__(self, task: balto.Task, *rest: Any) -> None:
            super().__init__(task, *rest)
            if task.name == other.name:
                drawn.set()

    class Waits(MadeUpDevice):
        """Goes on with its first trials only when the other task is drawn."""

        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            if candidates[0].trace:
                assert drawn.wait(60)
            yield from super().measure(candidates)

    def found(expects: bool) -> list[list[str]]:
        session = Session(Waits(), None, settings=SMALL, seed=3)
        try:
            if expects:
                session.expect(other)
            else:
                drawn.set()
            return [[trace for trace, _ in session.tune(t, 8).programs] for t in (task, other)]
        finally:
            session.close()

    monkeypatch.setattr("balto.search.makers.TaskSearch", Tells)
    assert found(expects=True) == found(expects=False)


def test_a_session_that_ends_cuts_off_what_it_draws(task: balto.Task) -> None:
    class Breaks(MadeUpDevice):
        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            raise MeasurerError(f"no {len(candidates)}")
            yield

    minutes_of_drawing = SearchSettings(population=100_000)
    with Worker() as first:  # from here on there is the process that workers are forked from
        first.call("os:getpid", deadline_s=60)
    others = psutil.Process().children(recursive=True)
    session = Session(Breaks(), None, settings=minutes_of_drawing, seed=3)
    try:
        with pytest.raises(MeasurerError, match="no 1"):
            session.begin(task)
        workers = drawing(others)
    finally:
        began = time.monotonic()
        session.close()
    assert time.monotonic() - began < 30
    assert all(gone(worker.pid) for worker in workers)


def drawing(others: Sequence[psutil.Process]) -> list[psutil.Process]:
    """The processes of ours but for some others, when one of them has been busy for a while."""
    for _ in range(600):
        found = [p for p in psutil.Process().children(recursive=True) if p not in others]
        if any(process.cpu_times().user > 0.5 for process in found):
            return found
        time.sleep(0.1)
    raise AssertionError("nothing is drawn")


def test_the_programs_chosen_for_what_is_unknown_come_from_every_niche_in_turn() -> None:
    groups = np.array([7, 7, 3, 7, 5, 3])  # from the best program to the worst
    turns = _in_turns(groups)
    assert turns.tolist() == [0, 2, 4, 1, 5, 3]
    assert groups[turns[:3]].tolist() == [7, 3, 5]
    assert not len(_in_turns(groups[:0]))


@pytest.mark.parametrize("selector", sorted(SELECTORS))
def test_any_selector_can_choose_what_is_not_a_favourite(
    task: balto.Task, workers: list[Worker], selector: str
) -> None:
    settings = replace(SMALL, selector=selector)
    search = TaskSearch(task, Learner(None), workers, settings, seed=1)
    told(search, search.choose(4))
    chosen = search.choose(8)
    assert len(set(chosen)) == 8
    assert not set(chosen) & search.latency_s.keys()


def test_a_selector_that_is_none_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match="nope"):
        SearchSettings(selector="nope")
