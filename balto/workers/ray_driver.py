"""The one process of ours that speaks with a Ray cluster: calls come in, results go back.

Ray ends a process whose cluster is gone, with whatever else runs in it. So it runs in a worker of
its own, and the campaign learns of a lost cluster as it learns of any dead worker.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from balto.errors import WorkerDied, WorkerTimeout
from balto.workers.ray_node import call_here

#: Seconds between two looks at the number of CPUs of the cluster.
_LOOK_S = 5.0
#: On top of twice its deadline, what a call may wait for a free CPU and for a worker to start.
_PATIENCE_S = 300.0
#: How often a call is made that dies, hangs or loses its node.
_TRIES = 2


@dataclass(frozen=True)
class _Call:
    number: int
    function: str
    args: tuple[Any, ...]
    deadline_s: float
    tries: int
    give_up: float


def serve(descriptor: int, address: str, versions: dict[str, str]) -> None:
    """Make calls on a cluster until told to end.

    Args:
        descriptor: of a `multiprocessing.connection.Connection`: ``(number, function, args,
            deadline_s)`` comes in, ``("done", number, result, error)`` goes back, and
            ``("slots", count)`` whenever that changes; None comes in to end.
        address: ``HOST:PORT`` of a cluster, ``auto``, or ``local`` for one on this machine.
        versions: what each node must have.
    """
    import ray

    _connect(address)
    connection = Connection(descriptor)
    driver = _Driver(connection, versions)
    while True:
        driver.tell_slots()
        while connection.poll(0 if driver.pending else 0.2):
            call = connection.recv()
            if call is None:
                connection.close()
                ray.shutdown()
                return
            driver.begin(*call)
        driver.collect()


def _connect(address: str) -> None:
    import os

    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if address == "local":
        ray.init(
            num_cpus=len(os.sched_getaffinity(0)),
            include_dashboard=False,
            object_store_memory=512 << 20,
            **quiet,
        )
    else:
        ray.init(address=address, **quiet)


class _Driver:
    """The calls under way."""

    def __init__(self, connection: Connection, versions: dict[str, str]) -> None:
        import ray

        self.pending: dict[Any, _Call] = {}  # by Ray's reference to the result
        self._connection = connection
        self._versions = versions
        self._slots, self._looked = 0, 0.0
        self._remote = ray.remote(num_cpus=1, max_retries=0)(_call_on_node)

    def tell_slots(self) -> None:
        """Say how many calls the cluster runs at the same time, if that has changed."""
        import ray

        if time.monotonic() - self._looked > _LOOK_S:
            slots = max(1, int(ray.cluster_resources().get("CPU", 0)))
            if slots != self._slots:
                self._connection.send(("slots", slots))
            self._slots, self._looked = slots, time.monotonic()

    def begin(self, number: int, function: str, args: tuple[Any, ...], deadline_s: float) -> None:
        """A first try, wherever there is room."""
        give_up = time.monotonic() + 2 * deadline_s + _PATIENCE_S
        call = _Call(number, function, args, deadline_s, 1, give_up)
        self._submit(call, "SPREAD")

    def collect(self) -> None:
        """Send what is done, and make again, elsewhere, what was lost."""
        import ray

        if not self.pending:
            return
        done, _ = ray.wait(list(self.pending), num_returns=1, timeout=0.02)
        for reference in done:
            call = self.pending.pop(reference)
            result, error, node = None, None, ""
            try:
                result, error, node = ray.get(reference)
            except ray.exceptions.RayTaskError as raised:
                error = raised.cause  # not of the function: the node cannot even call it
            except ray.exceptions.RayError as lost:
                error = WorkerDied(f"its node or worker was lost: {_first_line(lost)}")
            self._end(call, result, error, node)
        now = time.monotonic()
        for reference in [r for r, c in self.pending.items() if now > c.give_up]:
            call = self.pending.pop(reference)
            ray.cancel(reference, force=True)
            self._end(call, None, WorkerTimeout("no answer from its node in time"), "")

    def _end(self, call: _Call, result: Any, error: Exception | None, node: str) -> None:
        if isinstance(error, WorkerDied | WorkerTimeout) and call.tries < _TRIES:
            give_up = time.monotonic() + 2 * call.deadline_s + _PATIENCE_S
            again = _Call(
                call.number, call.function, call.args, call.deadline_s, call.tries + 1, give_up
            )
            self._submit(again, self._elsewhere(node))
        else:
            self._connection.send(("done", call.number, result, error))

    def _submit(self, call: _Call, strategy: Any) -> None:
        remote = self._remote.options(scheduling_strategy=strategy)
        reference = remote.remote(self._versions, call.function, call.args, call.deadline_s)
        self.pending[reference] = call

    def _elsewhere(self, node: str) -> Any:
        """Another node, if there is one; it may go away again before the call runs."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        alive = [
            each["NodeID"]
            for each in ray.nodes()
            if each["Alive"] and each["Resources"].get("CPU") and each["NodeID"] != node
        ]
        if not (node and alive):
            return "SPREAD"
        return NodeAffinitySchedulingStrategy(alive[0], soft=True)


def _call_on_node(
    versions: dict[str, str], function: str, args: tuple[Any, ...], deadline_s: float
) -> tuple[Any, Exception | None, str]:
    """The Ray task: result, error, and the node that ran it."""
    import ray

    node = str(ray.get_runtime_context().get_node_id())
    return (*call_here(versions, function, args, deadline_s), node)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
