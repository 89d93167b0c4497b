"""The laws of `balto.workers.executor.Executor` as a test suite.

Subclass it in a test module, under a name that starts with ``Test``::

    from balto.testing import ExecutorContract
    from balto.workers.local import LocalExecutor
    from balto.workers.worker import Worker


    class TestTwoWorkers(ExecutorContract):
        @classmethod
        def make(cls):
            return LocalExecutor([Worker(), Worker()])
"""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from balto.errors import ClusterLost, WorkerDied, WorkerRaised, WorkerTimeout
from balto.workers.executor import Call, Executor, run_all

_HERE = f"{__name__}:"


# What is called where the executor runs it.


def echo(value: Any) -> Any:
    """What it was given."""
    return value


def divide(a: float, b: float) -> float:
    """Raises `ZeroDivisionError` if `b` is 0."""
    return a / b


def append(values: list[int]) -> int:
    """Changes its argument."""
    values.append(0)
    return len(values)


def nap(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def die_at_first(path: str, number: int, times: int) -> int:
    """Dies of a signal at the first so many calls; returns how often it was called."""
    file = Path(path)
    calls = len(file.read_text(encoding="utf-8")) if file.exists() else 0
    file.write_text("." * (calls + 1), encoding="utf-8")
    if calls < times:
        os.kill(os.getpid(), number)
        time.sleep(10)
    return calls + 1


def meet(folder: str, me: str, others: int) -> bool:
    """Whether so many others are under way at the same time, in other processes."""
    (Path(folder) / me).touch()
    for _ in range(3000):
        if len(list(Path(folder).iterdir())) > others:
            return True
        time.sleep(0.01)
    return False


class ExecutorContract(ABC):
    """One test a law; a subclass says how to make an executor."""

    @classmethod
    @abstractmethod
    def make(cls) -> Executor:
        """A new executor of two slots or more; the tests close it."""

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> Iterator[Executor]:
        """The one that all tests use but those that close one."""
        with cls.make() as made:
            yield made

    def call(
        self, executor: Executor, name: str, *args: object, deadline_s: float = 60.0
    ) -> object:
        """The result of a call of a function of this module."""
        return executor.submit(_HERE + name, *args, deadline_s=deadline_s).result()

    def test_law_1_results_come_back_whatever_their_size(self, executor: Executor) -> None:
        """Law 1."""
        large = b"x" * (4 << 20)
        assert self.call(executor, "echo", large) == large

    def test_law_1_submitting_waits_for_nothing(self, executor: Executor) -> None:
        """Law 1: with four calls a slot; if it waited for a free slot, it would for three naps."""
        began, count = time.monotonic(), 4 * executor.slots
        futures = [executor.submit(_HERE + "nap", 0.5, deadline_s=60.0) for _ in range(count)]
        assert time.monotonic() - began < 1.5
        for future in futures:
            assert future.result() is None

    def test_law_1_what_became_of_a_call_is_said(self, executor: Executor, tmp_path: Path) -> None:
        """Law 1: and the next call is none the worse for it."""
        with pytest.raises(WorkerRaised, match="ZeroDivisionError") as raised:
            self.call(executor, "divide", 1, 0)
        assert raised.value.kind == "ZeroDivisionError"
        crash = int(signal.SIGSEGV)
        with pytest.raises(WorkerDied, match="SIGSEGV") as died:
            self.call(executor, "die_at_first", str(tmp_path / "tries"), crash, 99)
        assert not died.value.killed
        with pytest.raises(WorkerTimeout):
            self.call(executor, "nap", 30.0, deadline_s=0.5)
        assert self.call(executor, "echo", 1) == 1

    def test_law_2_a_call_that_dies_once_is_made_again(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """Law 2."""
        tries = str(tmp_path / "tries")
        assert self.call(executor, "die_at_first", tries, int(signal.SIGKILL), 1) == 2

    def test_law_4_calls_under_way_when_it_is_closed_end_with_what_became_of_them(self) -> None:
        """Law 4: at the start, in the middle of a call, and between two; closed twice."""
        for after_s in (0.0, 0.05, 1.0):
            executor = self.make()
            futures = [executor.submit(_HERE + "echo", k, deadline_s=60.0) for k in range(100)]
            futures += [executor.submit(_HERE + "nap", 60.0, deadline_s=60.0) for _ in range(8)]
            time.sleep(after_s)
            executor.close()
            executor.close()
            for k, future in enumerate(futures):
                check_ended(future, k)
            with pytest.raises((ClusterLost, RuntimeError)):
                executor.submit(_HERE + "echo", 1, deadline_s=1.0)

    def test_law_5_as_many_calls_run_at_once_as_there_are_slots(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """Law 5: each waits until it sees the others."""
        assert executor.slots >= 2
        futures = [
            executor.submit(_HERE + "meet", str(tmp_path), str(k), 1, deadline_s=60.0)
            for k in range(2)
        ]
        assert [future.result() for future in futures] == [True, True]

    def test_law_6_arguments_are_copies(self, executor: Executor) -> None:
        """Law 6."""
        values = [1, 2]
        assert self.call(executor, "append", values) == 3
        assert values == [1, 2]

    def test_law_7_several_threads_may_submit(self, executor: Executor) -> None:
        """Law 7."""
        with ThreadPoolExecutor(8) as threads:
            found = threads.map(lambda k: self.call(executor, "echo", k), range(64))
            assert list(found) == list(range(64))

    def test_no_more_is_under_way_than_asked(self, executor: Executor) -> None:
        """As `run_all` promises."""
        made = []

        def calls() -> Iterator[Call]:
            for k in range(12):
                made.append(k)
                yield Call(k, _HERE + "echo", (k * k,), 60.0)

        done = {}
        for key, future in run_all(executor, calls(), ahead=2):
            done[key] = future.result()
            assert len(made) <= len(done) + 2 * executor.slots
        assert done == {k: k * k for k in range(12)}


def check_ended(future: Future[Any], expected: Any) -> None:
    """A call of a closed executor has its result, died, or was never begun."""
    assert future.done()
    if future.cancelled():
        return
    error = future.exception()
    if error is None:
        assert future.result() in (expected, None)
    else:
        assert isinstance(error, WorkerDied | ClusterLost), error
