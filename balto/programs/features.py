"""The feature sets of recorded programs: read from their traces, or made by scheduling them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
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
from balto.tasks.operators import OPERATORS
from balto.text import one_line
from balto.workers.tvm_setup import import_tvm, tvm_target
from balto.workers.worker import Worker

#: Rows by feature set, of the programs of a task.
_Sets = Mapping[str, NDArray[np.float32]]
#: Programs that a worker schedules in one call, and how long that may take, seconds.
BATCH, DEADLINE_S = 256, 900.0


def read_pool(path: str | Path, *, featureless: bool = False) -> Pool:
    """Read a recorded pool; the feature set `decisions` is read from its traces if it has none.

    Traces in another form than MetaSchedule's, which another tool may have written, are not read.

    A feature set of more than 1 GiB is unpacked into a temporary file (in the system's temporary
    folder, ``TMPDIR``), which is mapped and disappears with the process.

    Args:
        path: the folder.
        featureless: take a pool too that has no feature set of this balto.

    Returns:
        Tasks, programs, features and outcomes.

    Raises:
        PoolError: If the folder is no pool in the exchange format, holds impossible values, or has
            no feature set of this balto.

    Examples:
        >>> balto.write_pool(balto.testing.made_up_pool(tasks=2), "recorded")
        120
        >>> pool = balto.read_pool("recorded")
        >>> len(pool), [task.name for task in pool.tasks]
        (120, ['op0_8', 'op1_16'])
    """
    pool = read_files(path, featureless=featureless)
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
    on_left_out: Callable[[str, str], None] | None = None,
) -> Pool:
    """The pool with the feature sets of this balto: its traces are scheduled, nothing is measured.

    Args:
        pool: with traces, and tasks whose module is kept or can be made from their operator.
        workers: processes; None for one a core.
        on_task: called with a task's name when it is done.
        asked: names of sets that are made on demand, and are wanted as well.
        on_left_out: called with the name of a task whose programs cannot be made, and why; the
            pool that is returned lacks it. By default no task may be left out.

    Raises:
        InputError: If a program has no trace or TVM cannot make the programs of a task, and
            `on_left_out` is not given; or if that is so of every task.
    """
    missing = [name for name in drawn_sets(asked) if name not in pool.features]
    if not missing:
        return pool
    crew = [Worker() for _ in range(workers or len(os.sched_getaffinity(0)))]

    def work(worker: Worker, share: Sequence[int]) -> dict[int, _Sets | InputError]:
        return {k: of_task(worker, k) for k in share}

    def of_task(worker: Worker, k: int) -> _Sets | InputError:
        task = pool.tasks[k]
        try:
            return _of_task(worker, task, [pool.traces[i] for i in pool.programs(k)], missing)
        except InputError as error:
            if on_left_out is None:
                raise
            on_left_out(task.name, str(error))
            return error
        finally:
            if on_task is not None:
                on_task(task.name)

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
    made = {k: rows for k, rows in sorted(done.items()) if not isinstance(rows, InputError)}
    if not made:
        raise next(error for error in done.values() if isinstance(error, InputError))
    more = {name: np.concatenate([rows[name] for rows in made.values()]) for name in missing}
    return _with(pool if len(made) == len(pool.tasks) else _of_tasks(pool, list(made)), more)


def _of_task(
    worker: Worker, task: Task, traces: Sequence[str | None], sets: Sequence[str]
) -> _Sets:
    """Feature sets of one task's programs, `n x width` each.

    Raises:
        InputError: If there is no module or trace, or TVM cannot make the programs.
    """
    kept = [trace for trace in traces if trace]
    if len(kept) < len(traces):
        raise InputError(f"expected a trace of every program, {task.name} has kept none of some")
    module, parts = _module(task, worker), []
    for start in range(0, len(kept), BATCH):
        some = (module, task.target, kept[start : start + BATCH], sets)
        try:
            call = "balto.programs.features:extract_in_worker"
            parts.append(worker.call_with_retries(call, *some, deadline_s=DEADLINE_S))
        except WorkerError as error:
            raise InputError(f"TVM cannot make the programs of {task.name}: {error}") from error
    return {name: np.concatenate([part[name] for part in parts]) for name in sets}


def _of_tasks(pool: Pool, kept: Sequence[int]) -> Pool:
    """The pool with these tasks alone."""
    sizes = [len(pool.programs(k)) for k in kept]
    index = np.concatenate([np.asarray(pool.programs(k), np.int64) for k in kept])
    return Pool(
        tasks=[pool.tasks[k] for k in kept],
        offsets=np.cumsum([0, *sizes], dtype=np.int64),
        features=FeatureTable(
            {name: pool.features[name].take(index) for name in pool.features.names}, len(index)
        ),
        traces=[pool.traces[i] for i in index],
        outcomes=pool.outcomes.take(index),
    )


def can_be_made(pool: Pool) -> bool:
    """Whether the programs of every task can probably be made again, as `with_all_features` does.

    The first trace of each task stands for all, and TVM is not asked.
    """
    firsts = [pool.traces[int(start)] for start in pool.offsets[:-1]]
    return all(map(_of_metaschedule, firsts)) and all(
        task.module or task.op in OPERATORS for task in pool.tasks
    )


def _require_tvm(worker: Worker) -> None:
    """Refuse to begin without TVM, so that no task is blamed for that."""
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
    if task.op not in OPERATORS:
        raise InputError(
            f"task {task.name} has no module, and {one_line(task.op)} is no operator of balto's"
        )
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
