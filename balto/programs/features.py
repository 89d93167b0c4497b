"""The feature sets of recorded programs: what their traces still say, and can be made to say."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balto.data.features import DECISIONS, FEATURE_SETS, Features, FeatureTable, drawn_sets
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool as read_files
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError, PoolError, WorkerError, WorkerRaised
from balto.programs import decisions
from balto.programs.extract import Drawn, extract
from balto.programs.schedule import schedule
from balto.text import one_line
from balto.workers.tvm_setup import import_tvm, tvm_target
from balto.workers.worker import Worker

#: Programs that a worker schedules in one call, and how long that may take, seconds.
BATCH, DEADLINE_S = 256, 900.0


def read_pool(path: str | Path) -> Pool:
    """Read a recorded pool; the feature set `decisions` is read from its traces if it has none.

    Traces that are none of MetaSchedule's, as another tool may have written, are left alone.

    A feature set of more than 1 GiB is unpacked into a temporary file (in the system's temporary
    folder, ``TMPDIR``), which is mapped and disappears with the process.

    Raises:
        PoolError: If the folder is not a pool in the exchange format, or holds impossible values.
    """
    pool = read_files(path)
    if DECISIONS.name in pool.features or not any(map(_of_metaschedule, pool.traces[:1])):
        return pool
    if None in pool.traces:
        return pool
    try:
        rows = decisions.extract(t for t in pool.traces if t is not None)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PoolError(f"pool {path}: a trace is damaged: {error!r:.200}") from error
    return _with(pool, {DECISIONS.name: rows})


def with_all_features(
    pool: Pool,
    workers: int | None = None,
    on_task: Callable[[str], None] | None = None,
    asked: Sequence[str] = (),
) -> Pool:
    """The pool with the feature sets of this balto: its traces are scheduled, nothing is measured.

    Args:
        pool: with traces, and tasks whose module is kept or can be made from their operator.
        workers: processes; None for one a core.
        on_task: called with a task's name when it is done.
        asked: names of sets that are made on demand, and are wanted as well.

    Raises:
        InputError: If a program has no trace, or TVM cannot make the programs of a task.
    """
    missing = [name for name in drawn_sets(asked) if name not in pool.features]
    if not missing:
        return pool
    if any(not trace for trace in pool.traces):
        raise InputError("expected a trace of every program, and this pool has kept none of some")
    crew = [Worker() for _ in range(workers or len(os.sched_getaffinity(0)))]
    made: dict[str, list[NDArray[np.float32]]] = {name: [] for name in missing}

    def work(worker: Worker, share: Sequence[int]) -> dict[int, dict[str, NDArray[np.float32]]]:
        return {k: of_task(worker, k) for k in share}

    def of_task(worker: Worker, k: int) -> dict[str, NDArray[np.float32]]:
        place, task = pool.programs(k), pool.tasks[k]
        parts = []
        for start in range(place.start, place.stop, BATCH):
            traces = [str(pool.traces[i]) for i in range(start, min(start + BATCH, place.stop))]
            call = "balto.programs.features:extract_in_worker"
            try:
                part = worker.call_with_retries(
                    *(call, _module(task, worker), task.target, traces, missing),
                    deadline_s=DEADLINE_S,
                )
            except WorkerError as error:
                raise InputError(f"TVM cannot make the programs of {task.name}: {error}") from error
            parts.append(part)
        if on_task is not None:
            on_task(task.name)
        return {name: np.concatenate([part[name] for part in parts]) for name in missing}

    try:
        _require_tvm(crew[0])
        with ThreadPoolExecutor(len(crew)) as threads:
            shares = [range(w, len(pool.tasks), len(crew)) for w in range(len(crew))]
            # A worker does its own tasks one after the other.
            futures = [threads.submit(work, *each) for each in zip(crew, shares, strict=True)]
            done = {k: rows for future in futures for k, rows in future.result().items()}
    finally:
        for worker in crew:
            worker.close()
    for k in range(len(pool.tasks)):
        for name in missing:
            made[name].append(done[k][name])
    return _with(pool, {name: np.concatenate(parts) for name, parts in made.items()})


def _require_tvm(worker: Worker) -> None:
    """Say it first and once if there is no TVM: no task is to blame for that."""
    try:
        worker.call_with_retries("balto.programs.features:tvm_in_worker", deadline_s=DEADLINE_S)
    except WorkerError as error:
        kind = error.kind if isinstance(error, WorkerRaised) else ""
        raise InputError(one_line(str(error).removeprefix(f"{kind}: "))) from error


def tvm_in_worker() -> None:
    """Import TVM. Runs in a worker."""
    import_tvm()


def extract_in_worker(
    module: str, target: Target, traces: Sequence[str], sets: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Feature sets of one row a program, from traces. Runs in a worker."""
    import tvm

    import_tvm(target)
    from tvm.s_tir import meta_schedule as ms

    context = ms.TuneContext(mod=tvm.ir.load_json(module), target=tvm_target(target), num_threads=1)
    drawn = Drawn(context, [schedule(module, trace) for trace in traces], traces)
    return {name: np.concatenate(rows) for name, rows in extract(drawn, sets).items()}


def module_in_worker(op: str, args: list[int]) -> str:
    """TVM's JSON of a single operator's module. Runs in a worker."""
    import_tvm()
    import tvm

    from balto.tasks import operators

    return str(tvm.ir.save_json(operators.module(op, args)))


def _module(task: Task, worker: Worker) -> str:
    """A task's module; version 1 of the pool format kept none, but single operators say all."""
    if task.module:
        return task.module
    try:
        args = json.loads(task.args)
        made: str = worker.call_with_retries(
            "balto.programs.features:module_in_worker", task.op, args, deadline_s=DEADLINE_S
        )
    except (WorkerError, ValueError) as error:
        raise InputError(
            f"task {task.name} has no module, and {task.op} with {task.args} is no operator of "
            f"balto's: {error}"
        ) from error
    return made


def _of_metaschedule(trace: str | None) -> bool:
    """Whether it looks like ``[[instruction, ...], [decision, ...]]``."""
    try:
        instructions, decided = json.loads(trace or "")
    except (ValueError, TypeError):
        return False
    return isinstance(instructions, list) and isinstance(decided, list)


def _with(pool: Pool, more: dict[str, NDArray[np.float32]]) -> Pool:
    """The pool with sets of one row a program added."""
    sets = {name: pool.features[name] for name in pool.features.names}
    one_each = np.arange(len(pool) + 1, dtype=np.int64)
    sets.update({name: Features(rows, one_each) for name, rows in more.items()})
    order = [name for name in FEATURE_SETS if name in sets]
    return replace(pool, features=FeatureTable({name: sets[name] for name in order}))
