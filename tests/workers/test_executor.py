"""Every executor keeps the laws: local workers, and a real Ray cluster of two nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from balto.errors import ClusterLost
from balto.testing import ExecutorContract
from balto.workers.executor import Executor
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker
from tests.workers.cluster import Cluster

CALLS = "tests.workers.calls:"


class TestLocal(ExecutorContract):
    """Workers of this machine."""

    @classmethod
    def make(cls) -> Executor:
        return LocalExecutor([Worker(), Worker()])


@pytest.mark.slow
class TestRay(ExecutorContract):
    """A cluster of two nodes."""

    cluster: Cluster

    @classmethod
    def make(cls) -> Executor:
        from balto.workers.ray import RayExecutor

        made = RayExecutor(cls.cluster.address)
        while made.slots < 2:
            time.sleep(0.1)
        return made

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _cluster(cls) -> Iterator[None]:
        pytest.importorskip("ray")
        with Cluster() as cls.cluster:
            yield

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
