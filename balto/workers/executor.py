"""The contract of what runs functions in other processes: warm ones here, or a cluster's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


class Executor(ABC):
    """Runs functions by name in processes of its own.

    Laws, which every executor keeps and `balto.testing.ExecutorContract` checks:

    1. `submit` returns at once. The future gets what the function returned, or the `WorkerError`
       that says what became of the call: `WorkerRaised` (it failed), `WorkerDied`, `WorkerTimeout`.
       One call that fails touches no other.
    2. A call whose process died is made again in another process before that counts. So a function
       may run more than once, and has to be one for which that does not matter.
    3. Which executor runs a call never changes its result: it depends on the arguments alone.
    4. `close` may be called at any time, twice too; calls under way end with `WorkerDied` or
       `ClusterLost`, or are cancelled, and no process is left behind. No call is taken afterwards.
    5. Calls may end in any order. As many as there are `slots` run at the same time.
    6. Arguments and results are copies: what a function does to its arguments stays where it runs.
    7. `submit` may be called from several threads at once, `close` from one of them.
    """

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many calls run at the same time, now; at least one."""

    @abstractmethod
    def submit(self, function: str, *args: Any, deadline_s: float) -> Future[Any]:
        """Call ``package.module:name`` somewhere.

        Args:
            function: what to call.
            args: its arguments; they are pickled, and so is the result.
            deadline_s: what one try may take, seconds.

        Returns:
            A future of the function's result.

        Raises:
            ClusterLost: If the executor has no process or node left to run a call. A future may
                get that, too.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop every process that belongs to this executor."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Call:
    """One call to make.

    Attributes:
        key: names it among its fellows.
        function: ``package.module:name``.
        args: its arguments.
        deadline_s: what one try may take, seconds.
    """

    key: Hashable
    function: str
    args: tuple[Any, ...]
    deadline_s: float


def run_all(
    executor: Executor, calls: Iterable[Call], ahead: int = 2
) -> Iterator[tuple[Any, Future[Any]]]:
    """Make every call, and yield ``(key, future)`` of each as it is done.

    No more calls are under way, or done and not yet yielded, than `ahead` times the executor's
    slots: arguments and results of a million calls never lie in memory together.
    """
    under_way: dict[Future[Any], Any] = {}
    waiting = iter(calls)
    call = next(waiting, None)
    try:
        while call is not None or under_way:
            while call is not None and len(under_way) < ahead * executor.slots:
                future = executor.submit(call.function, *call.args, deadline_s=call.deadline_s)
                under_way[future] = call.key
                call = next(waiting, None)
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield under_way.pop(future), future
    finally:
        for future in under_way:
            future.cancel()
