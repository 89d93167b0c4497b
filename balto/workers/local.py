"""The executor of one machine: warm worker processes, a thread to watch over each call."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from balto.workers.executor import Executor
from balto.workers.worker import Worker


class LocalExecutor(Executor):
    """Runs each call in a free one of some warm workers.

    A call whose worker was killed is made again up to four times, one whose worker crashed once
    (`Worker.call_with_retries`).

    Args:
        workers: at least one; closed with the executor.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = list(workers)
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(len(self._workers), thread_name_prefix="executor")

    @property
    def slots(self) -> int:
        """As many as there are workers."""
        return len(self._workers)

    def submit(self, function: str, *args: Any, deadline_s: float) -> Future[Any]:
        """Call a function in a worker; see `Executor.submit`."""
        return self._threads.submit(self._call, function, args, deadline_s)

    def _call(self, function: str, args: tuple[Any, ...], deadline_s: float) -> Any:
        worker = self._free.get()
        try:
            return worker.call_with_retries(function, *args, deadline_s=deadline_s)
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """Stop every worker."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.end()
        self._threads.shutdown()
        for worker in self._workers:
            worker.close()
