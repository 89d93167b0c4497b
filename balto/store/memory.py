"""What one tuning has of stores: what they know of its tasks, and a place to write to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from balto.data.task import Task
from balto.store.identity import Identity
from balto.store.known import Known
from balto.store.stores import Stores
from balto.store.writer import Writer, place_of
from balto.workers.worker import Worker

#: Seconds that telling tasks apart may take.
_DEADLINE_S = 300.0


class Memory:
    """Stores, as one tuning uses them. Use it as a context: what is written is then on the disk.

    Args:
        stores: at least one, the first of which is written to.
        tasks: of the tuning, with their modules.
        measurer: name of what measures.
        worker: has TVM.
        tell: is told what was left alone since it is damaged, and why nothing more is written.
    """

    def __init__(
        self,
        stores: Stores,
        tasks: Sequence[Task],
        measurer: str,
        worker: Worker,
        tell: Callable[[str], None],
    ) -> None:
        self._stores, self._measurer, self._tell = stores, measurer, tell
        modules = [task.require_module() for task in tasks]
        found: list[Identity] = worker.call_with_retries(
            "balto.store.identity:identify", modules, deadline_s=_DEADLINE_S
        )
        names = [task.name for task in tasks]
        self._identities: Mapping[str, Identity] = dict(zip(names, found, strict=True))
        self.writer = Writer(stores.stores[0], self._identities, measurer, tell)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()

    def known(self, tasks: Sequence[Task]) -> dict[str, Known]:
        """What the stores know of tasks. Damaged entries are told, each once.

        Args:
            tasks: some of the tuning's.

        Returns:
            By the names of the tasks, without those of which nothing is known.
        """
        found = {task.name: self._known(task) for task in tasks}
        for line in self._stores.troubles:
            self._tell(line)
        return {name: known for name, known in found.items() if known.anything}

    def _known(self, task: Task) -> Known:
        place, identity = place_of(task, self._measurer), self._identities[task.name]
        for trace, program in self._stores.programs(identity, place).items():
            for against in program.errors:
                self.writer.knows(task, trace, against)
        return self._stores.known(identity, place)
