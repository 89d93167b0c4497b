"""Every executor keeps the laws: local workers, and a real Ray cluster of two nodes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from balto.errors import ClusterLost, WorkerDied, WorkerRaised, WorkerTimeout
from balto.workers.executor import Call, Executor, run_all
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker
from tests.workers.cluster import Cluster

CALLS = "tests.workers.calls:"


class Laws:
    """The laws of `Executor`; a subclass has the fixture ``executor``."""

    def call(
        self, executor: Executor, name: str, *args: object, deadline_s: float = 30.0
    ) -> object:
        return executor.submit(CALLS + name, *args, deadline_s=deadline_s).result()

    def test_results_come_back_whatever_their_size(self, executor: Executor) -> None:
        large = b"x" * (4 << 20)
        assert self.call(executor, "echo", large) == large
        assert executor.slots == 2

    def test_what_became_of_a_call_is_said(self, executor: Executor) -> None:
        with pytest.raises(WorkerRaised, match="ZeroDivisionError") as raised:
            self.call(executor, "divide", 1, 0)
        assert raised.value.kind == "ZeroDivisionError"
        with pytest.raises(WorkerDied, match="SIGSEGV") as died:
            self.call(executor, "die", int(signal.SIGSEGV))
        assert not died.value.killed
        with pytest.raises(WorkerTimeout):
            self.call(executor, "stages", [30.0], 0.5)
        assert self.call(executor, "echo", 1) == 1

    def test_a_call_that_dies_once_is_made_again(self, executor: Executor, tmp_path: Path) -> None:
        tries = tmp_path / "tries"
        assert self.call(executor, "die_the_first_times", str(tries), int(signal.SIGKILL), 1) == 2

    def test_no_more_is_under_way_than_asked(self, executor: Executor) -> None:
        made = []

        def calls() -> Iterator[Call]:
            for k in range(12):
                made.append(k)
                yield Call(k, CALLS + "echo", (k * k,), 30.0)

        done = {}
        for key, future in run_all(executor, calls(), ahead=2):
            done[key] = future.result()
            assert len(made) <= len(done) + 2 * executor.slots
        assert done == {k: k * k for k in range(12)}


class TestLocal(Laws):
    """Workers of this machine."""

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> Iterator[Executor]:
        with LocalExecutor([Worker(), Worker()]) as made:
            yield made


@pytest.mark.parametrize("after_s", [0.0, 0.05, 1.0])
def test_calls_under_way_when_it_is_closed_end_with_what_became_of_them(after_s: float) -> None:
    """Law 4: at the start of a process, in the middle of a call, and between two."""
    executor = LocalExecutor([Worker() for _ in range(4)])
    futures = [executor.submit(CALLS + "echo", k, deadline_s=60.0) for k in range(200)]
    futures += [executor.submit(CALLS + "stages", [60.0], 60.0, deadline_s=60.0) for _ in range(8)]
    time.sleep(after_s)
    executor.close()
    executor.close()
    assert all(future.done() for future in futures)
    for k, future in enumerate(futures):
        if not future.cancelled() and (error := future.exception()) is None:
            assert future.result() == k
        elif not future.cancelled():
            assert isinstance(error, WorkerDied), error


@pytest.mark.slow
class TestRay(Laws):
    """A cluster of two nodes."""

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> Iterator[Executor]:
        pytest.importorskip("ray")
        from balto.workers.ray import RayExecutor

        with Cluster() as cluster, RayExecutor(cluster.address) as made:
            cls.cluster = cluster
            while made.slots < 2:
                time.sleep(0.1)
            yield made

    def test_a_node_that_is_lost_costs_another_try_and_a_lost_cluster_is_said(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """Last: nothing is left of the cluster after it."""
        go = tmp_path / "go"
        futures = [executor.submit(CALLS + "wait_for", str(go), deadline_s=60.0) for _ in range(2)]
        time.sleep(3.0)  # one on each node
        self.cluster.kill_node(1)
        go.touch()
        assert [future.result() for future in futures] == [None, None]
        under_way = executor.submit(CALLS + "stages", [60.0], 90.0, deadline_s=90.0)
        self.cluster.kill_head()
        with pytest.raises(ClusterLost, match=r"cannot be reached.*run the same command again"):
            under_way.result()
        with pytest.raises(ClusterLost):
            executor.submit(CALLS + "echo", 1, deadline_s=1.0)
