"""Read and write recorded pools: two Parquet files, pool exchange format version 1.

`docs/pool-format.md` lists the columns.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from balto.errors import PoolError
from balto.measure.outcome import Outcome, Status
from balto.pool.files import write_atomically
from balto.pool.pool import Pool
from balto.programs.features import COLUMNS, Features
from balto.tasks.task import Task

TASKS = pa.schema(
    [
        ("task_id", pa.int32()),
        ("name", pa.string()),
        ("op", pa.string()),
        ("args", pa.string()),
        ("weight", pa.int32()),
        ("target", pa.string()),
        ("device", pa.string()),
    ]
)
PROGRAMS = pa.schema(
    [
        ("task_id", pa.int32()),
        ("program_id", pa.int32()),
        ("features", pa.list_(pa.list_(pa.float32()))),
        ("status", pa.string()),
        ("latency_s", pa.float64()),
        ("latency_median_s", pa.float64()),
        ("build_s", pa.float64()),
        ("measure_s", pa.float64()),
        ("trace", pa.string()),
    ]
)
#: The format has six statuses; a program that ran out of memory was killed, so it is a crash there.
_EXPORTED_AS = {Status.OUT_OF_MEMORY: Status.CRASH}


def read_pool(path: str | Path) -> Pool:
    """Read a recorded pool.

    Raises:
        PoolError: the folder is not a pool in the exchange format, or holds impossible values.
    """
    path = Path(path)
    if not path.is_dir():
        raise PoolError(f"expected a pool folder, found none at {path}")
    tasks = _read(path / "tasks.parquet", TASKS)
    programs = _read(path / "programs.parquet", PROGRAMS)
    names = [str(name) for name in tasks["name"].to_pylist()]
    _check(path, len(names) > 0, "holds no task")
    _check(
        path,
        np.array_equal(_numbers(tasks["task_id"]), np.arange(len(names))),
        "task_id in tasks.parquet must be 0, 1, 2, ...",
    )
    _check(path, len(set(names)) == len(names), "task names must be unique")
    task_of = _numbers(programs["task_id"])
    _check(
        path,
        len(task_of) > 0 and task_of.min() >= 0 and task_of.max() < len(names),
        f"task_id in programs.parquet must be in 0..{len(names) - 1}",
    )
    counts = np.bincount(task_of, minlength=len(names))
    empty = np.flatnonzero(counts == 0)
    _check(path, len(empty) == 0, f"task {names[empty[0]] if len(empty) else ''} has no program")
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    in_order = np.arange(len(task_of)) - np.repeat(offsets[:-1], counts)
    _check(
        path,
        bool((np.diff(task_of) >= 0).all())
        and np.array_equal(_numbers(programs["program_id"]), in_order),
        "programs.parquet must be ordered by task_id, then program_id 0, 1, 2, ...",
    )
    return Pool(
        tasks=[
            Task(**{k: row[k] for k in ("name", "op", "args", "weight", "target", "device")})
            for row in tasks.to_pylist()
        ],
        offsets=offsets,
        features=_features(path, programs["features"]),
        traces=[trace or "" for trace in programs["trace"].to_pylist()],
        outcomes=_outcomes(path, programs),
    )


def write_pool(pool: Pool, path: str | Path) -> int:
    """Write the measured programs of `pool` as a recorded pool; returns how many.

    Tasks without a measured program are left out, and ids are renumbered to stay dense.

    Raises:
        PoolError: `path` is a file, or nothing was measured.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise PoolError(f"expected a folder to write the pool to, {path} is a file")
    measured = np.array([o is not None for o in pool.outcomes], dtype=bool)
    if not measured.any():
        raise PoolError("nothing to export: no program has been measured yet")
    task_of = pool.task_of_program
    kept, task_ids = np.unique(task_of[measured], return_inverse=True)
    index = np.flatnonzero(measured)
    starts = np.concatenate([[0], np.cumsum(np.bincount(task_ids))[:-1]])
    features = pool.features.take(index)
    values = pa.array(features.rows.reshape(-1))
    inner = pa.ListArray.from_arrays(
        pa.array(np.arange(len(features.rows) + 1, dtype=np.int32) * COLUMNS), values
    )
    outcomes = [o for o in pool.outcomes if o is not None]

    def number(name: str) -> pa.Array:
        column = np.array([getattr(o, name) for o in outcomes], dtype=float)
        return pa.array(column, mask=np.isnan(column))

    programs = pa.table(
        {
            "task_id": pa.array(task_ids.astype(np.int32)),
            "program_id": pa.array((np.arange(len(index)) - starts[task_ids]).astype(np.int32)),
            "features": pa.ListArray.from_arrays(
                pa.array(features.offsets.astype(np.int32)), inner
            ),
            "status": [_EXPORTED_AS.get(o.status, o.status).value for o in outcomes],
            "latency_s": number("latency_s"),
            "latency_median_s": number("latency_median_s"),
            "build_s": number("build_s"),
            "measure_s": number("measure_s"),
            "trace": [pool.traces[int(i)] or None for i in index],
        },
        schema=PROGRAMS,
    )
    rows = []
    for task_id, old in enumerate(kept):
        task = pool.tasks[old]
        rows.append({"task_id": task_id, **{k: getattr(task, k) for k in TASKS.names[1:]}})
    tasks = pa.Table.from_pylist(rows, schema=TASKS)
    path.mkdir(parents=True, exist_ok=True)
    for name, table in (("tasks.parquet", tasks), ("programs.parquet", programs)):
        with write_atomically(path / name) as partial:
            pq.write_table(table, partial, compression="zstd")
    return len(outcomes)


def _check(path: Path, holds: bool, message: str) -> None:
    if not holds:
        raise PoolError(f"pool {path}: {message}")


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise PoolError(f"cannot read {path}: {' '.join(reason.split())}") from error
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise PoolError(f"{path}: missing column {', '.join(missing)}; docs/pool-format.md has all")
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise PoolError(f"{path}: a column has the wrong type: {error}") from error
    nullable = {"latency_s", "latency_median_s", "build_s", "measure_s", "trace"}
    for name in schema.names:
        if name not in nullable and table[name].null_count:
            raise PoolError(f"{path}: column {name} must not be null")
    return table


def _numbers(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[Any]]:
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _features(path: Path, column: pa.ChunkedArray) -> Features:
    programs = column.combine_chunks()
    rows = programs.flatten()
    widths = np.diff(rows.offsets.to_numpy(zero_copy_only=False))
    _check(path, rows.null_count == 0, "features must not hold null rows")
    _check(path, bool((widths == COLUMNS).all()), f"every feature row must have {COLUMNS} columns")
    values = rows.flatten()
    _check(path, values.null_count == 0, "features must not be null")
    matrix = values.to_numpy(zero_copy_only=False).reshape(-1, COLUMNS)
    stores = np.diff(programs.offsets.to_numpy(zero_copy_only=False))
    offsets = np.concatenate([[0], np.cumsum(stores)]).astype(np.int64)
    _check(path, bool((stores > 0).all()), "every program needs at least one feature row")
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        program = int(np.searchsorted(offsets, bad[0], side="right")) - 1
        _check(path, False, f"features must be finite, row {program} of programs.parquet is not")
    return Features(matrix, offsets)


def _outcomes(path: Path, programs: pa.Table) -> list[Outcome | None]:
    known = {status.value for status in Status}
    statuses = programs["status"].to_pylist()
    strange = next((s for s in statuses if s not in known), None)
    _check(
        path, strange is None, f"status must be one of {', '.join(sorted(known))}, not {strange}"
    )
    ok = np.array([s == "ok" for s in statuses])
    columns = {}
    for name in ("latency_s", "latency_median_s", "build_s", "measure_s"):
        column = _numbers(programs[name]).astype(float)
        negative = np.flatnonzero((column < 0) | np.isinf(column))
        if len(negative):
            value = column[negative[0]]
            _check(path, False, f"{name} must be a positive number, row {negative[0]} has {value}")
        columns[name] = column
    for name in ("latency_s", "latency_median_s"):
        wrong = np.flatnonzero(ok & ~(columns[name] > 0))
        if len(wrong):
            value = columns[name][wrong[0]]
            _check(path, False, f"an ok program needs a {name} > 0, row {wrong[0]} has {value}")
        columns[name][~ok] = np.nan
    return [
        Outcome(Status(status), float(smallest), float(median), float(build), float(measure))
        for status, smallest, median, build, measure in zip(
            statuses, *columns.values(), strict=True
        )
    ]


def describe(pool: Pool) -> str:
    """One line about where a pool comes from, for people."""
    devices = sorted({task.device for task in pool.tasks})
    targets = sorted({json.dumps(json.loads(task.target)) for task in pool.tasks})
    return f"{'; '.join(devices)} ({'; '.join(targets)})"
