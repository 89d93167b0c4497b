"""Selection over many tasks at once, in threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState


def select_tasks(
    selector: Selector,
    states: Sequence[TaskState],
    budgets: Sequence[int],
    rngs: Sequence[np.random.Generator],
    threads: int | None = None,
) -> list[NDArray[np.int64]]:
    """Choose `budgets[k]` programs of every task `k`; the number of threads changes no pick.

    Args:
        selector: chooses within one task.
        states: one a task.
        budgets: one a task.
        rngs: one generator a task, so that no task's picks depend on another's.
        threads: None for one a core that this process may use.

    Returns:
        Numbers of the programs within each task.

    Raises:
        ValueError: If there are not as many states as budgets and generators.
        SelectionError: If predictions or features of a task are missing or not finite.
    """
    if not len(states) == len(budgets) == len(rngs):
        raise ValueError(
            f"expected one budget and one generator a task, got {len(states)} tasks, "
            f"{len(budgets)} budgets and {len(rngs)} generators"
        )
    threads = threads or len(os.sched_getaffinity(0))
    if threads == 1 or len(states) < 2:
        return list(map(selector.select, states, budgets, rngs))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(selector.select, states, budgets, rngs))
