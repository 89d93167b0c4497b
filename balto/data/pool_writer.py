"""Write recorded pools, task by task: a pool need not fit in memory twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from balto.arguments import check_type
from balto.data.features import FEATURE_SETS, Features, FeatureSet
from balto.data.files import as_path, new_folder, reading, write_atomically
from balto.data.outcomes import NUMBERS, STATUSES
from balto.data.pool import Pool
from balto.data.pool_schema import KEY, NETWORKS, TASKS, features_column, metadata, programs_schema
from balto.data.task import Task
from balto.errors import PoolError, StorageError

#: Programs of a row group, at most: what a reader holds in memory at a time.
GROUP = 16_384


def write_pool(pool: Pool, path: str | Path, *, unmeasured: bool = False) -> int:
    """Write the measured programs of `pool` as a recorded pool; returns how many.

    Tasks without a program to write are left out, and ids are renumbered to stay dense.

    Args:
        pool: what to write.
        path: a folder, made if it is not there; a pool in it is replaced.
        unmeasured: write the programs that were not measured too.

    Returns:
        How many programs were written.

    Raises:
        InputError: If `pool` is not a `Pool`.
        PoolError: If no program is to be written, or one has a feature set that this balto does not
            know.
        StorageError: If `path` is a file, or cannot be written to.

    Examples:
        >>> balto.write_pool(balto.testing.made_up_pool(tasks=2), "recorded")
        120
    """
    check_type("pool", pool, Pool, "balto.read_pool(path) reads one")
    wanted = np.ones(len(pool), bool) if unmeasured else pool.outcomes.measured
    if not wanted.any():
        raise PoolError("nothing to export: no program has been measured yet")
    parts = []
    for k, task in enumerate(pool.tasks):
        place = pool.programs(k)
        index = np.flatnonzero(wanted[place.start : place.stop]) + place.start
        if len(index):
            parts.append((task, pool, index))
    return write_parts(parts, path)


def copy_networks(pool: Path, other: Path) -> None:
    """Give another pool of the same tasks what a pool says of networks, if it does.

    Raises:
        PoolError: If the file of networks cannot be read.
        StorageError: If the other pool cannot be written to.
    """
    with reading(pool / NETWORKS, PoolError):
        content = (pool / NETWORKS).read_bytes() if (pool / NETWORKS).exists() else None
    if content is not None:
        with write_atomically(other / NETWORKS) as partial:
            partial.write_bytes(content)


def require_new(path: str | Path) -> None:
    """Refuse to write a pool where there is something already.

    Raises:
        StorageError: If the folder is not empty.
    """
    path = as_path(path)
    with reading(path, StorageError):
        if path.is_dir() and any(path.iterdir()):
            raise StorageError(
                f"{path} holds something already: give an empty or new folder, or remove it first"
            )


def write_parts(parts: Iterable[tuple[Task, Pool, NDArray[np.int64]]], path: str | Path) -> int:
    """Write a pool from parts that come one after the other; returns the number of programs.

    Args:
        parts: a task, and programs of it in a pool (pool-wide indices); at least one part, and
            every pool with the same feature sets. A task may have several parts, one after the
            other, each with the same task object.
        path: a folder, made if it is not there; and gone again if no pool comes to be in it.

    Raises:
        PoolError: If a feature set is not known to this balto, or has another width here.
        StorageError: If `path` is a file, or cannot be written to.
    """
    path = as_path(path)
    with new_folder(path):
        return _write_parts(parts, path)


def _write_parts(parts: Iterable[tuple[Task, Pool, NDArray[np.int64]]], path: Path) -> int:
    tasks: list[Task] = []
    sets: tuple[FeatureSet, ...] = ()
    count, first, writer = 0, 0, None
    with write_atomically(path / "programs.parquet") as partial:
        try:
            for task, pool, index in parts:
                if not tasks or task is not tasks[-1]:
                    tasks.append(task)
                    first = 0
                if writer is None:
                    sets = _feature_sets(pool)
                    writer = pq.ParquetWriter(
                        partial,
                        programs_schema(sets),
                        compression="zstd",
                        write_page_checksum=True,
                    )
                for start in range(0, len(index), GROUP):
                    some = index[start : start + GROUP]
                    table = _table(pool, some, len(tasks) - 1, first + start, sets)
                    writer.write_table(table)
                count += len(index)
                first += len(index)
        finally:
            if writer is not None:
                writer.close()
    schema = TASKS.with_metadata({KEY: json.dumps(metadata(sets)).encode()})
    with write_atomically(path / "tasks.parquet") as partial:
        rows = [_task_row(task_id, task) for task_id, task in enumerate(tasks)]
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
    return count


def _feature_sets(pool: Pool) -> tuple[FeatureSet, ...]:
    for name in pool.features.names:
        width = pool.features[name].width
        if name not in FEATURE_SETS or FEATURE_SETS[name].width != width:
            known = "; ".join(map(str, FEATURE_SETS.values()))
            raise PoolError(
                f"expected the feature sets of this balto ({known}), the pool has {name!r} with "
                f"{width} columns: pool.features.select(...) leaves it out"
            )
    return tuple(FEATURE_SETS[name] for name in pool.features.names)


def _task_row(task_id: int, task: Task) -> dict[str, Any]:
    row = {name: getattr(task, name) for name in TASKS.names[1:]}
    row["flop"] = None if np.isnan(task.flop) else task.flop
    return {**row, "task_id": task_id, "target": task.target.to_json()}


def _table(
    pool: Pool, index: NDArray[np.int64], task_id: int, first: int, sets: Sequence[FeatureSet]
) -> pa.Table:
    outcomes = pool.outcomes.take(index)
    names = np.array([*(status.value for status in STATUSES)], dtype=object)
    measured = outcomes.measured
    status = np.full(len(index), None, dtype=object)
    status[measured] = names[outcomes.status[measured]]
    columns: dict[str, Any] = {
        "task_id": np.full(len(index), task_id, np.int32),
        "program_id": np.arange(first, first + len(index), dtype=np.int32),
        "status": status,
        "repeats": pa.array(outcomes.repeats, mask=~measured),
        "message": [outcomes.messages.get(i) for i in range(len(index))],
        "trace": [pool.traces[int(i)] or None for i in index],
    }
    for name in NUMBERS:
        column = outcomes.numbers[name]
        columns[name] = pa.array(column, mask=np.isnan(column))
    for each in sets:
        columns[features_column(each)] = _lists(pool.features[each.name].take(index))
    return pa.table(columns, schema=programs_schema(sets))


def _lists(features: Features) -> pa.Array:
    values = pa.array(features.rows.reshape(-1))
    rows = pa.FixedSizeListArray.from_arrays(values, features.width)
    return pa.LargeListArray.from_arrays(pa.array(features.offsets), rows)
