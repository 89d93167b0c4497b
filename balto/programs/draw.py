"""Random programs of tasks, drawn in worker processes (paper 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from balto.data.features import FEATURE_SETS, Features, FeatureTable
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.task import Task
from balto.errors import InputError, WorkerError
from balto.programs.sample import Sampled
from balto.workers.worker import Worker

#: Seconds that drawing one task's programs may take.
DEADLINE_S = 900.0


def draw(task: Task, count: int, seed: int, worker: Worker) -> Sampled:
    """Draw one task's programs in a worker, with every feature set.

    The draw is fixed by `seed` and the task's name: it depends on no other task.

    Raises:
        InputError: the task has no module.
        WorkerError: TVM cannot sample the task, or the worker died.
    """
    sampled: Sampled = worker.call_with_retries(
        "balto.programs.sample:sample_in_worker",
        *(task.require_module(), task.target, count, draw_seed(task, seed)),
        tuple(FEATURE_SETS),
        deadline_s=DEADLINE_S,
    )
    return sampled


def draw_seed(task: Task, seed: int) -> int:
    """The seed of one task's draw."""
    return crc32(f"{seed} {task.name}".encode())


def sample(task: Task | Sequence[Task], count: int = 256, seed: int = 0) -> Pool:
    """Draw random programs of one task or of several, without a campaign.

    Args:
        task: with their modules, as `balto.extract_tasks` gives them.
        count: distinct programs a task; fewer where its space has fewer.
        seed: fixes the draw.

    Returns:
        A pool of them, with every feature set; nothing is measured in it.

    Raises:
        InputError: TVM cannot sample a task, or there is none.
    """
    tasks = [task] if isinstance(task, Task) else list(task)
    drawn = []
    with Worker() as worker:
        for each in tasks:
            try:
                drawn.append(draw(each, count, seed, worker))
            except WorkerError as error:
                reason = next(iter(str(error).splitlines()), "")
                raise InputError(f"TVM cannot sample {each.name}: {reason}") from error
    return as_pool(tasks, drawn)


def as_pool(tasks: Sequence[Task], drawn: Sequence[Sampled]) -> Pool:
    """The pool of drawn programs; nothing is measured in it.

    Raises:
        InputError: there are no programs.
    """
    offsets = np.cumsum([0, *(len(each.traces) for each in drawn)])
    if offsets[-1] == 0:
        raise InputError("expected at least one task with at least one program, got none")
    features = {
        name: Features.from_programs(
            (rows for each in drawn for rows in each.features[name]), feature_set.width
        )
        for name, feature_set in FEATURE_SETS.items()
    }
    return Pool(
        tasks=list(tasks),
        offsets=offsets.astype(np.int64),
        features=FeatureTable(features),
        traces=[trace for each in drawn for trace in each.traces],
        outcomes=Outcomes(int(offsets[-1])),
    )
