"""Draw the programs of many tasks in worker processes; a task that crashes TVM is lost alone."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from zlib import crc32

from balto.campaign.programs import write_programs
from balto.measure.worker import Worker, WorkerDied, WorkerRaised, WorkerTimeout
from balto.tasks.task import Task

#: Seconds that drawing one task's programs may take.
DEADLINE_S = 900.0


def draw_programs(
    tasks: Mapping[int, Task],
    paths: Sequence[Path],
    count: int,
    seed: int,
    workers: Sequence[Worker],
) -> Iterator[tuple[int, str]]:
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
        The task's index, and why it must be left out: empty if its programs are on disk.
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


def _draw(task: Task, path: Path, count: int, seed: int, free: queue.SimpleQueue[Worker]) -> str:
    worker = free.get()
    try:
        sampled = worker.call(
            "balto.programs.sample:sample_in_worker",
            *(task.module, task.target, count, crc32(f"{seed} {task.name}".encode())),
            deadline_s=DEADLINE_S,
        )
    except (WorkerDied, WorkerRaised, WorkerTimeout) as error:
        return f"TVM cannot sample it: {str(error).splitlines()[0]}"
    finally:
        free.put(worker)
    if len(sampled.traces) < 2:
        return f"expected a space of at least 2 programs, it has {len(sampled.traces)}"
    write_programs(path, sampled)
    return ""
