"""Random programs of tasks, drawn in worker processes (paper 3.2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

import numpy as np

from balto.arguments import MOST_PROGRAMS, check_number, check_type
from balto.data.features import FEATURE_SETS, Features, FeatureTable, drawn_sets
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.task import Task, task_seed
from balto.errors import InputError, WorkerError
from balto.programs.sample import Sampled
from balto.workers.executor import Call, Executor, run_all
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker


def draw_all(
    tasks: Sequence[Task], count: int, seed: int, executor: Executor
) -> Iterator[tuple[Task, Sampled | str]]:
    """Draw the programs of many tasks, with the usual features; yields the tasks in their order.

    A draw is fixed by `seed` and the task's name: it depends on no other task, nor on the executor.

    Yields:
        The task, and its programs, or why it has none.

    Raises:
        ClusterLost: If the executor has nothing left to draw on.
        InputError: If the module of a task was not kept.
    """
    calls = (
        Call(
            k,
            "balto.programs.sample:sample_in_worker",
            (
                *(task.require_module(), task.target, count, task_seed(seed, task.name)),
                drawn_sets(),
            ),
            deadline_s(count),
        )
        for k, task in enumerate(tasks)
    )
    done: dict[int, Sampled | str] = {}
    following = 0
    for k, future in run_all(executor, calls):
        done[k] = _drawn(future)
        while following in done:
            yield tasks[following], done.pop(following)
            following += 1


def deadline_s(count: int) -> float:
    """Seconds that drawing so many programs of a task may take."""
    return 60.0 + count


def _drawn(future: Future[Sampled]) -> Sampled | str:
    try:
        sampled = future.result()
    except WorkerError as error:
        return f"TVM cannot sample it: {error}".replace(": InputError:", ":")
    return sampled if sampled.traces else "TVM finds no program in its space"


def sample(task: Task | Sequence[Task], count: int = 256, seed: int = 0) -> Pool:
    """Draw random programs of one task or of several, without a campaign.

    Args:
        task: with their modules, as `balto.extract_tasks` gives them.
        count: distinct programs a task; fewer where its space has fewer.
        seed: fixes the draw.

    Returns:
        A pool of them, with the usual feature sets; nothing is measured in it.

    Raises:
        InputError: If TVM cannot sample a task, there is no task, or something given is not a
            `Task`.

    Examples:
        >>> tasks = balto.extract_tasks([], ["matmul:64x64x64"]).tasks
        >>> pool = balto.sample(tasks, 8, seed=0)
        >>> len(pool), pool.features.names
        (8, ('store', 'decisions', 'loops', 'cycles'))
    """
    given = [task] if not isinstance(task, Iterable) or isinstance(task, str) else list(task)
    advice = "balto.extract_tasks(...).tasks has them"
    tasks = [check_type("each task", each, Task, advice) for each in given]
    count = check_number("count", count, 1, MOST_PROGRAMS, whole=True)
    seed = check_number("seed", seed, 0, 2**63 - 1, whole=True)
    workers = [Worker() for _ in range(max(1, min(len(tasks), len(os.sched_getaffinity(0)))))]
    drawn: list[Sampled] = []
    with LocalExecutor(workers) as executor:
        for each, found in draw_all(tasks, count, seed, executor):
            if isinstance(found, str):
                raise InputError(f"{each.name}: {found}")
            drawn.append(found)
    return as_pool(tasks, drawn)


def as_pool(tasks: Sequence[Task], drawn: Sequence[Sampled]) -> Pool:
    """The pool of drawn programs; nothing is measured in it.

    Raises:
        InputError: If no task has a program.
    """
    offsets = np.cumsum([0, *(len(each.traces) for each in drawn)])
    if offsets[-1] == 0:
        raise InputError("expected at least one task with at least one program, got none")
    features = {
        name: Features.from_programs(
            (rows for each in drawn for rows in each.features[name]), feature_set.width
        )
        for name, feature_set in FEATURE_SETS.items()
        if all(name in each.features for each in drawn)
    }
    return Pool(
        tasks=list(tasks),
        offsets=offsets.astype(np.int64),
        features=FeatureTable(features),
        traces=[trace for each in drawn for trace in each.traces],
        outcomes=Outcomes(int(offsets[-1])),
    )
