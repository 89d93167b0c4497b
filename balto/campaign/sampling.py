"""Draw the programs of many tasks in other processes; a task that crashes TVM is lost alone.

Drawing, features and the file's bytes are made where the executor runs them, on this machine or
on a cluster; the bytes come back and are written here. A process that is killed, or crashes once,
costs no task: the draw is made again, and gives the same.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from balto.campaign.programs import encode_programs
from balto.campaign.records import Programs
from balto.data.files import write_atomically
from balto.data.task import Task, task_seed
from balto.errors import WorkerError
from balto.programs.draw import deadline_s
from balto.programs.sample import sample_in_worker
from balto.workers.executor import Call, Executor, run_all

#: How often it is told that a task is waited for, seconds.
_TELL_S = 20.0


def draw_programs(
    tasks: Mapping[int, Task],
    paths: Mapping[int, Path],
    count: int,
    seed: int,
    executor: Executor,
    sets: Sequence[str],
    tell: Callable[[str, float], None] = lambda *_: None,
) -> Iterator[tuple[int, Programs | str]]:
    """Draw each task's programs and write them; tasks are yielded as they are done.

    Each task has a seed of its own, made from `seed` and its name, so that the programs depend
    neither on the executor nor on how many draws it makes at a time. Files are written by a thread,
    whether or not the caller is ready for the next task.

    Args:
        tasks: what to sample, by index.
        paths: the file of each task, by index.
        count: M, programs a task.
        seed: the campaign's.
        executor: where to draw; close it to stop early.
        sets: names of the feature sets to make.
        tell: is told now and then which task was waited for, and for how many seconds.

    Yields:
        The task's index, and what was written, or why it must be left out.

    Raises:
        ClusterLost: the executor has nothing left to draw on.
        StorageError: a file cannot be written.
    """
    written: queue.SimpleQueue[tuple[int, Programs | str] | BaseException] = queue.SimpleQueue()
    under_way: dict[int, str] = {}

    def calls() -> Iterator[Call]:
        for k, task in tasks.items():
            under_way[k] = task.name
            arguments = (task, count, seed, sets)
            yield Call(k, "balto.campaign.sampling:draw_file", arguments, deadline_s(count))

    def write() -> None:
        try:
            for k, future in run_all(executor, calls()):
                del under_way[k]
                written.put((k, _write(paths[k], future)))
        except BaseException as error:  # raised where it can be handled
            written.put(error)

    threading.Thread(target=write, name="programs", daemon=True).start()
    for _ in tasks:
        done = _waited(written, under_way, tell)
        if isinstance(done, BaseException):
            raise done
        yield done


def _waited(
    written: queue.SimpleQueue[tuple[int, Programs | str] | BaseException],
    under_way: Mapping[int, str],
    tell: Callable[[str, float], None],
) -> tuple[int, Programs | str] | BaseException:
    """What is written next; the task that is under way for the longest is told now and then."""
    began = time.monotonic()
    while True:
        try:
            return written.get(timeout=_TELL_S)
        except queue.Empty:
            if longest := list(under_way.values()):
                tell(longest[0], time.monotonic() - began)


def draw_file(task: Task, count: int, seed: int, sets: Sequence[str]) -> tuple[Programs, bytes]:
    """Draw one task's programs with some feature sets; runs in a worker.

    Returns:
        What to journal of them, and the bytes of their file; none of either for fewer than two.
    """
    sampled = sample_in_worker(
        task.require_module(), task.target, count, task_seed(seed, task.name), sets
    )
    if len(sampled.traces) < 2:
        return Programs(len(sampled.traces)), b""
    return encode_programs(sampled)


def _write(path: Path, drawn: Future[Any]) -> Programs | str:
    try:
        programs, data = drawn.result()
    except WorkerError as error:
        return f"TVM cannot sample it: {error}".replace(": InputError:", ":")
    if not data:
        return f"expected a space of at least 2 programs, it has {programs.count}"
    with write_atomically(path) as partial:
        partial.write_bytes(data)
    made: Programs = programs
    return made
