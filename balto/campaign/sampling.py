"""Draw the programs of many tasks in worker processes; a task that crashes TVM is lost alone.

A worker that is killed, or crashes once, costs no task: the draw is made again, and gives the same.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from balto.campaign.programs import write_programs
from balto.campaign.records import Programs
from balto.data.task import Task
from balto.errors import WorkerError
from balto.programs.draw import draw
from balto.workers.worker import Worker


def draw_programs(
    tasks: Mapping[int, Task],
    paths: Sequence[Path],
    count: int,
    seed: int,
    workers: Sequence[Worker],
) -> Iterator[tuple[int, Programs | str]]:
    """Draw each task's programs and write them; tasks are yielded as they are done.

    Each task has a seed of its own, made from `seed` and its name, so that the programs do not
    depend on the number of workers.

    Args:
        tasks: what to sample, by index.
        paths: the file of each task, by index.
        count: M, programs a task.
        seed: the campaign's.
        workers: warm processes; closed in the end.

    Yields:
        The task's index, and what was written, or why it must be left out.
    """
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)
    threads = ThreadPoolExecutor(len(workers))
    futures = {
        threads.submit(_draw, task, paths[k], count, seed, free): k for k, task in tasks.items()
    }
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()


def _draw(
    task: Task, path: Path, count: int, seed: int, free: queue.SimpleQueue[Worker]
) -> Programs | str:
    worker = free.get()
    try:
        sampled = draw(task, count, seed, worker)
    except WorkerError as error:
        return f"TVM cannot sample it: {error}"
    finally:
        free.put(worker)
    if len(sampled.traces) < 2:
        return f"expected a space of at least 2 programs, it has {len(sampled.traces)}"
    return write_programs(path, sampled)
