"""Read recorded pools, of pool exchange format 1 and 2, group by group.

Features of a pool that is larger than memory should hold are unpacked into a file that is mapped:
what is not looked at takes no memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from balto.data.features import FEATURE_SETS, Features, FeatureSet, FeatureTable
from balto.data.files import reading, require_readable
from balto.data.mapped import Rows
from balto.data.outcome import Status
from balto.data.outcomes import NUMBERS, STATUSES, UNMEASURED, Outcomes
from balto.data.plausible import LARGEST_FEATURE, implausible_of
from balto.data.pool import Pool
from balto.data.pool_schema import (
    NULLABLE,
    REQUIRED_1,
    TASKS,
    TASKS_1,
    features_column,
    programs_schema,
    programs_schema_1,
    read_metadata,
)
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError, PoolError
from balto.text import one_line

#: Programs that are unpacked at a time.
BATCH = 16_384
#: A column of more bytes than this that grows more than so many times when unpacked is refused.
UNSUSPECTED, GROWTH = 1 << 28, 1000


def read_pool(path: str | Path, *, featureless: bool = False) -> Pool:
    """Read a recorded pool.

    A feature set of more than 1 GiB is unpacked into a temporary file (in the system's temporary
    folder, ``TMPDIR``), which is mapped and disappears with the process.

    Args:
        path: the folder.
        featureless: take a pool too that has no feature set of this balto.

    Raises:
        PoolError: If the folder is no pool in the exchange format, holds impossible values, or has
            no feature set of this balto.
    """
    with reading(path, PoolError):
        return _read_pool(Path(path), featureless)


def read_pool_tasks(path: str | Path) -> list[Task]:
    """Read the tasks of a recorded pool, and nothing else of it.

    Raises:
        PoolError: If the folder has no table of tasks in the exchange format, or one with
            impossible values.
    """
    with reading(path, PoolError):
        return _read_tasks(Path(path) / "tasks.parquet")


def _read_pool(path: Path, featureless: bool) -> Pool:
    if not path.is_dir():
        raise PoolError(f"expected a pool folder, found none at {path}")
    tasks = _read_tasks(path / "tasks.parquet")
    file = _open(path / "programs.parquet")
    version, sets = read_metadata(path / "programs.parquet", file.schema_arrow)
    known = [each for each in sets if FEATURE_SETS.get(each.name) == each]
    if not known and not featureless:
        raise PoolError(
            f"pool {path} has the features {', '.join(map(str, sets))}, this balto reads "
            f"{', '.join(map(str, FEATURE_SETS.values()))}: balto features {path} makes them anew"
        )
    _check_sizes(path / "programs.parquet", file)
    with ExitStack() as files:
        programs = _Programs(path, known, version, files)
        for batch in _batches(path / "programs.parquet", file, known, version):
            programs.add(batch)
        return programs.pool(tasks)


class _Programs:
    """The columns of all programs, gathered batch by batch."""

    def __init__(
        self, path: Path, sets: Sequence[FeatureSet], version: int, files: ExitStack
    ) -> None:
        self.path, self.sets, self.version = path, sets, version
        self.count = 0
        self.columns: dict[str, list[Any]] = {
            name: [] for name in ("task_id", "program_id", "status", "repeats", *NUMBERS)
        }
        self.messages: dict[int, str] = {}
        self.traces: list[str | None] = []
        self.rows = {each.name: files.enter_context(Rows(each.width)) for each in sets}
        self.counts: dict[str, list[NDArray[np.int64]]] = {each.name: [] for each in sets}

    def add(self, batch: pa.Table) -> None:
        size = len(batch)
        for name in ("task_id", "program_id"):
            self.columns[name].append(_numbers(batch[name]))
        self.columns["status"].append(self._statuses(batch["status"]))
        for name in NUMBERS:
            there = name in batch.column_names
            column = _numbers(batch[name]).astype(float) if there else np.full(size, np.nan)
            self.columns[name].append(column)
        if "repeats" in batch.column_names:
            repeats = batch["repeats"].fill_null(0)
            self.columns["repeats"].append(_numbers(repeats))
            for i, message in enumerate(batch["message"].to_pylist()):
                if message:
                    self.messages[self.count + i] = message
        else:
            self.columns["repeats"].append(np.zeros(size, np.int32))
        self.traces += [trace or None for trace in batch["trace"].to_pylist()]
        for each in self.sets:
            name = "features" if self.version == 1 else features_column(each)
            counts, rows = self._features(each, batch[name])
            self.counts[each.name].append(counts)
            self.rows[each.name].append(rows)
        self.count += size

    def _statuses(self, column: pa.ChunkedArray) -> NDArray[np.uint8]:
        encoded = column.combine_chunks().dictionary_encode()
        places = []
        for status in encoded.dictionary.to_pylist():
            self._check(
                status in set(Status),
                f"status must be one of {', '.join(sorted(Status))}, not {status}",
            )
            places.append(STATUSES.index(Status(status)))
        table = np.array([*places, UNMEASURED], np.uint8)
        indices = encoded.indices.fill_null(len(places))
        return np.asarray(table[indices.to_numpy(zero_copy_only=False).astype(np.int64)])

    def _features(
        self, each: FeatureSet, column: pa.ChunkedArray
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        programs = column.combine_chunks()
        self._check(programs.null_count == 0, "features must not be null")
        counts = np.diff(programs.offsets.to_numpy(zero_copy_only=False)).astype(np.int64)
        self._check(bool((counts > 0).all()), "every program needs at least one feature row")
        rows = programs.flatten()
        self._check(rows.null_count == 0, "features must not hold null rows")
        if self.version == 1:
            widths = np.diff(rows.offsets.to_numpy(zero_copy_only=False))
            right = bool((widths == each.width).all())
            self._check(right, f"every feature row must have {each.width} columns")
        values = rows.flatten()
        self._check(values.null_count == 0, "features must not be null")
        matrix = values.to_numpy(zero_copy_only=False).reshape(-1, each.width)
        bad = np.flatnonzero(~(np.abs(matrix) < LARGEST_FEATURE).all(axis=1))
        if len(bad):
            ends = np.cumsum(counts)
            program = self.count + int(np.searchsorted(ends, bad[0], side="right"))
            self._check(
                False,
                f"features must be finite and under {LARGEST_FEATURE:g}, row {program} of "
                "programs.parquet is not",
            )
        return counts, matrix

    def pool(self, tasks: Sequence[Task]) -> Pool:
        """Put everything together, and check what concerns all programs."""
        columns = {name: np.concatenate(parts) for name, parts in self.columns.items() if parts}
        self._check(self.count > 0, "holds no program")
        offsets = self._offsets(columns["task_id"], columns["program_id"], tasks)
        features = {
            each.name: Features(
                self.rows[each.name].finish(),
                np.concatenate([[0], *self.counts[each.name]]).cumsum(dtype=np.int64),
            )
            for each in self.sets
        }
        return Pool(
            tasks=tasks,
            offsets=offsets,
            features=FeatureTable(features, self.count),
            traces=self.traces,
            outcomes=self._outcomes(columns, tasks),
        )

    def _offsets(
        self, task_of: NDArray[np.int32], program_id: NDArray[np.int32], tasks: Sequence[Task]
    ) -> NDArray[np.int64]:
        self._check(
            bool(task_of.min() >= 0 and task_of.max() < len(tasks)),
            f"task_id in programs.parquet must be in 0..{len(tasks) - 1}",
        )
        counts = np.bincount(task_of, minlength=len(tasks))
        empty = np.flatnonzero(counts == 0)
        self._check(
            len(empty) == 0, f"task {tasks[empty[0]].name if len(empty) else ''} has no program"
        )
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        in_order = np.arange(len(task_of)) - np.repeat(offsets[:-1], counts)
        self._check(
            bool((np.diff(task_of) >= 0).all()) and np.array_equal(program_id, in_order),
            "programs.parquet must be ordered by task_id, then program_id 0, 1, 2, ...",
        )
        return offsets

    def _outcomes(self, columns: dict[str, NDArray[Any]], tasks: Sequence[Task]) -> Outcomes:
        status = columns["status"]
        ok = status == STATUSES.index(Status.OK)
        for name in NUMBERS:
            column = columns[name]
            wrong = np.flatnonzero((column < 0) | np.isinf(column))
            if len(wrong):
                value = column[wrong[0]]
                self._check(False, f"{name} must be a positive number, row {wrong[0]} has {value}")
        for name in ("latency_s", "latency_median_s"):
            columns[name][~ok] = np.nan
        numbers = {name: columns[name] for name in NUMBERS}
        repeats = columns["repeats"].astype(np.int32)
        self._check(bool((repeats >= 0).all()), "repeats must not be negative")
        outcomes = Outcomes.from_columns(status, numbers, repeats, self.messages)
        flop = np.array([task.flop for task in tasks], float)[columns["task_id"]]
        found = implausible_of(outcomes, flop)
        if found is not None:
            self._check(False, f"row {found[0]} of programs.parquet has {found[1]}")
        return outcomes

    def _check(self, holds: bool, message: str) -> None:
        if not holds:
            raise PoolError(f"pool {self.path}: {message}")


def _check_sizes(path: Path, file: pq.ParquetFile) -> None:
    """Refuse a column that is said to grow out of all proportion when it is unpacked."""
    metadata = file.metadata
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            unpacked = max(4 * column.num_values, column.total_uncompressed_size)
            if unpacked > UNSUSPECTED and unpacked > GROWTH * column.total_compressed_size:
                raise PoolError(
                    f"{path}: column {column.path_in_schema} would grow from "
                    f"{column.total_compressed_size} to {unpacked} bytes: no pool does"
                )


def _read_tasks(path: Path) -> list[Task]:
    file = _open(path)
    version, _ = read_metadata(path, file.schema_arrow)
    try:
        table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    table = _cast(path, table, TASKS_1 if version == 1 else TASKS, version)
    rows = table.to_pylist()
    names = [row["name"] for row in rows]
    for holds, message in (
        (len(rows) > 0, "holds no task"),
        (
            [row["task_id"] for row in rows] == list(range(len(rows))),
            "task_id in tasks.parquet must be 0, 1, 2, ...",
        ),
        (len(set(names)) == len(names), "task names must be unique"),
        (all(row["weight"] > 0 for row in rows), "weights must be 1 or more"),
    ):
        if not holds:
            raise PoolError(f"pool {path.parent}: {message}")
    return [_task(path.parent, row) for row in rows]


def _task(path: Path, row: dict[str, Any]) -> Task:
    flop = float("nan") if row.get("flop") is None else row["flop"]
    try:
        target = Target.from_json(row["target"])
    except InputError as error:
        raise PoolError(f"pool {path}: task {one_line(row['name'])[:80]}: {error}") from error
    try:
        return Task(
            **{name: row[name] for name in ("name", "op", "args", "weight", "device")},
            target=target,
            flop=flop,
            module=row.get("module") or None,
        )
    except InputError as error:
        raise PoolError(f"pool {path}: {error}") from error


def _batches(
    path: Path, file: pq.ParquetFile, sets: Sequence[FeatureSet], version: int
) -> Iterator[pa.Table]:
    schema = programs_schema_1() if version == 1 else programs_schema(sets)
    _present(path, file.schema_arrow.names, schema)
    try:
        for batch in file.iter_batches(BATCH, columns=schema.names):
            yield _cast(path, pa.Table.from_batches([batch]), schema, version)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _open(path: Path) -> pq.ParquetFile:
    require_readable(path, PoolError)
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> PoolError:
    reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
    return PoolError(f"cannot read {path}: {' '.join(reason.split())[:300]}")


def _present(path: Path, there: Sequence[str], schema: pa.Schema) -> None:
    missing = [name for name in schema.names if name not in there]
    if missing:
        raise PoolError(f"{path}: missing column {', '.join(missing)}; docs/pool-format.md has all")


def _cast(path: Path, table: pa.Table, schema: pa.Schema, version: int) -> pa.Table:
    _present(path, table.column_names, schema)
    try:
        table = table.select(schema.names).cast(schema.remove_metadata())
    except (pa.ArrowException, ValueError) as error:
        raise PoolError(f"{path}: a column has the wrong type: {error}") from error
    for name in schema.names:
        required = name not in NULLABLE or (version == 1 and name in REQUIRED_1)
        if required and table[name].null_count:
            raise PoolError(f"{path}: column {name} must not be null")
    return table


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
