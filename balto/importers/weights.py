"""How often each task occurs in networks, from TenSet's ``network_info/*.task.pkl``.

Each holds the tasks of one network, and in the same order how often each occurs in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from balto.data.files import one_line, reading
from balto.errors import InputError
from balto.importers.pickles import Machine, Object

#: The largest weight of a task.
MOST = 1_000_000


def read_weights(paths: Sequence[Path]) -> Counter[str]:
    """Sums over all networks, by workload key.

    Raises:
        InputError: a file is none of TenSet's, or is damaged.
    """
    weights: Counter[str] = Counter()
    for path in paths:
        with reading(path, InputError):
            machine = Machine(path)
            for _ in machine.run():
                pass
            weights.update(_of_network(machine.result, path))
    return Counter({key: min(count, MOST) for key, count in weights.items()})


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
