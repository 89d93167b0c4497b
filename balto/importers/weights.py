"""Which tasks networks have and how often, from TenSet's ``network_info/*.task.pkl``.

Each holds the tasks of one network, and in the same order how often each occurs in it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balto.data.files import reading, write_atomically
from balto.data.pool_reader import read_pool_tasks
from balto.data.pool_schema import NETWORKS
from balto.errors import InputError
from balto.importers.imported import refuse_packed
from balto.importers.pickle_values import Object
from balto.importers.pickles import Machine
from balto.text import one_line

#: The largest weight of a task.
MOST = 1_000_000
#: What the files' names end with; before it stands the network's.
ENDING = ".task.pkl"


class Networks:
    """How often each workload occurs in each network, and the tasks that were made of workloads.

    Args:
        counts: by network, by workload key.
    """

    def __init__(self, counts: Mapping[str, Counter[str]]) -> None:
        self._counts = counts
        self._sums: Counter[str] = sum(counts.values(), Counter())
        self._made: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._sums)

    def weight(self, workload: str) -> int:
        """Sum over all networks; 1 for a workload that none has."""
        return min(self._sums.get(workload, 1), MOST)

    def made(self, name: str, workload: str) -> None:
        """Say that a task was made of a workload."""
        self._made[name] = workload

    def write(self, pool: str | Path) -> list[str]:
        """Write which tasks of a pool each network has into its folder; returns what to know.

        Raises:
            StorageError: the file cannot be written.
        """
        made: dict[str, list[str]] = defaultdict(list)
        for task in read_pool_tasks(pool):
            made[self._made[task.name]].append(task.name)
        found = {
            network: {name: n for key, n in counts.items() for name in made.get(key, ())}
            for network, counts in self._counts.items()
        }
        found = {network: tasks for network, tasks in found.items() if tasks}
        if not found:
            return ["no network has a task of the pool: every task has weight 1"]
        with write_atomically(Path(pool) / NETWORKS) as partial:
            partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return []


def read_networks(paths: Sequence[Path]) -> Networks:
    """Read the files of some networks.

    Raises:
        InputError: a file is none of TenSet's, or is damaged.
    """
    counts = {}
    for path in paths:
        with reading(path, InputError):
            refuse_packed(path)
            machine = Machine(path)
            for _ in machine.run():
                pass
            counts[path.name.removesuffix(ENDING)] = _of_network(machine.result, path)
    return Networks(counts)


def _of_network(value: Any, path: Path) -> Counter[str]:
    match value:
        case list() as tasks, list() as counts if len(tasks) == len(counts):
            pass
        case _:
            raise InputError(
                f"expected the tasks of a network and how often each occurs in {one_line(path)}, "
                "found something else"
            )
    weights: Counter[str] = Counter()
    for task, count in zip(tasks, counts, strict=True):
        state = task.state if isinstance(task, Object) else None
        key = state.get("workload_key") if isinstance(state, dict) else None
        if not isinstance(key, str) or type(count) is not int or not 1 <= count <= MOST:
            raise InputError(f"{one_line(path)} has a task without a workload key or a weight")
        weights[key] += count
    return weights
