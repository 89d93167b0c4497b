"""A Ray cluster of two nodes on one machine: two raylets, each with one CPU, to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self


class Cluster:
    """Started with the context, and gone after it, whatever was killed meanwhile.

    Attributes:
        address: of its head.
        raylets: process ids: of the head's node, then of the other.
        head: process id of the head's server, which knows of all nodes.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.workers.cluster"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.address, self.raylets, self.head = said["address"], said["raylets"], said["head"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(b"end\n", timeout=60)

    def kill_node(self, number: int) -> None:
        os.kill(self.raylets[number], signal.SIGKILL)

    def kill_head(self) -> None:
        os.kill(self.head, signal.SIGKILL)


def main() -> None:
    """Runs in a process of its own until something comes in."""
    from ray.cluster_utils import Cluster as Nodes

    memory = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=memory)
    nodes.add_node(num_cpus=1, object_store_memory=100 << 20)
    nodes.wait_for_nodes()
    raylets = [
        node.all_processes["raylet"][0].process.pid
        for node in (nodes.head_node, *nodes.worker_nodes)
    ]
    head = nodes.head_node.all_processes["gcs_server"][0].process.pid
    print(json.dumps({"address": nodes.address, "raylets": raylets, "head": head}), flush=True)
    sys.stdin.readline()
    nodes.shutdown()


if __name__ == "__main__":
    main()
