"""Building ahead: no further than the timers will soon need, and nothing is lost or forgotten."""

from __future__ import annotations

import select
from concurrent.futures import Future
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from balto.data.candidate import Candidate
from balto.data.target import LLVM
from balto.data.task import Task
from balto.errors import WorkerDied, WorkerTimeout
from balto.measure.build import Artifact, Built
from balto.measure.settings import Limit
from balto.measure.todo import AHEAD, BuildAhead, Homes
from balto.workers.executor import Executor

TASK = Task("t", "t", "[]", 1, LLVM, "here", module="{}")
LIMIT = Limit(clock_s=45.0, cpu_s=9.0)


class ByHand(Executor):
    """Builds are done when the test says so."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.under_way: list[Future[Any]] = []
        self.asked: list[Any] = []

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, function: str, *args: Any, deadline_s: float) -> Future[Any]:  # noqa: ARG002
        future: Future[Any] = Future()
        self.under_way.append(future)
        self.asked.append(args[0])
        return future

    def close(self) -> None:
        pass


def built() -> Built:
    return Built(Artifact(LLVM, (), b"x"), 0.1)


def wakes(todo: BuildAhead) -> bool:
    return bool(select.select([todo.wake], [], [], 0)[0])


@given(
    count=st.integers(0, 30),
    slots=st.integers(1, 6),
    timers=st.integers(1, 4),
    moves=st.lists(st.sampled_from(["build", "fail", "pop", "look"]), max_size=120),
)
def test_whatever_happens_in_whatever_order(count, slots, timers, moves):
    executor = ByHand(slots)
    todo = BuildAhead(
        [Candidate(TASK, 0, i, trace="") for i in range(count)], executor, timers, LIMIT
    )
    most = slots + timers + AHEAD * timers
    popped, failed, waiting = [], [], 0
    for move in [*moves, *["look", "build", "pop"] * (3 * count + 3)]:
        if move in ("build", "fail") and executor.under_way:
            future = executor.under_way.pop(0)
            if move == "build":
                future.set_result(built())
                waiting += 1
            else:
                future.set_exception(WorkerTimeout("too long"))
            assert wakes(todo), "whoever waits for it learns of it"
        elif move == "look":
            failed += [index for index, _, _ in todo.failures()]
        elif move == "pop" and (index := todo.pop()) is not None:
            assert isinstance(todo.work(index), Built)
            todo.done(index)
            popped.append(index)
            waiting -= 1
        assert len(executor.under_way) + waiting <= most
    assert sorted(popped + failed) == list(range(count))
    assert not todo
    todo.close()


def test_the_same_artifact_is_handed_out_again_and_a_failure_says_what_it_cost():
    executor = ByHand(4)
    todo = BuildAhead([Candidate(TASK, 0, i, trace="") for i in range(3)], executor, 1, LIMIT)
    assert todo.pop() is None  # begins to build
    one, two, three = executor.under_way
    one.set_result(built())
    two.set_exception(WorkerTimeout("too long"))
    three.set_exception(WorkerDied("SIGSEGV"))
    (slow, died) = todo.failures()
    assert (slow[0], slow[2]) == (1, 9.0)
    assert died[0] == 2
    index = todo.pop()
    first = todo.work(index)
    todo.again(index)
    assert todo.pop() == index
    assert todo.work(index) is first
    todo.done(index)
    assert not todo
    todo.close()


def test_what_ran_out_of_time_by_the_clock_is_built_once_more_after_the_others():
    executor = ByHand(1)
    todo = BuildAhead([Candidate(TASK, 0, i, trace=f"{i}") for i in range(3)], executor, 1, LIMIT)
    late = WorkerTimeout("too long")
    late.by_clock = True
    failed = []
    todo.pop()
    for program in executor.asked:  # which grows meanwhile
        if program.trace == "0":
            executor.under_way.pop(0).set_exception(late)
        else:
            executor.under_way.pop(0).set_result(built())
        failed += todo.failures()
        if (ready := todo.pop()) is not None:
            todo.done(ready)
    assert [program.trace for program in executor.asked] == ["0", "1", "2", "0"]
    assert not todo
    assert failed == [(0, late, LIMIT.clock_s)]
    todo.close()


def test_a_program_goes_to_the_worker_that_has_it_while_that_lives():
    a, b, new = (Candidate(TASK, 0, k, trace=f"[{k}]") for k in range(3))
    homes = Homes(kept=4)
    homes.settle(a, 1)
    homes.settle(b, 2)
    suits = [[homes.suits(c, worker, {1, 2}) for c in (a, b, new)] for worker in (1, 2)]
    assert suits == [[True, False, True], [False, True, True]]
    assert homes.suits(a, 2, {2, 3}), "who had it is dead"
    for k in range(4):
        homes.settle(Candidate(TASK, 0, k, trace=f"[other {k}]"), 2)
    assert homes.suits(b, 1, {1, 2}), "forgotten, as the worker has forgotten it"


def test_what_is_done_after_closing_wakes_nobody(caplog):
    executor = ByHand(2)
    todo = BuildAhead([Candidate(TASK, 0, 0, trace="")], executor, 1, LIMIT)
    todo.pop()
    executor.under_way[0].set_running_or_notify_cancel()
    todo.close()
    executor.under_way[0].set_result(built())
    assert not caplog.records, "nothing is written to a descriptor that is closed"
