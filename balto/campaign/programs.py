"""The programs of a campaign on disk: one Parquet file a task, and the pool that they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from balto.errors import CampaignError
from balto.pool.files import write_atomically
from balto.pool.pool import Pool
from balto.programs.features import Features
from balto.programs.sample import Sampled
from balto.tasks.task import Task


def write_tasks(path: Path, tasks: Sequence[Task], left_out: Sequence[tuple[str, str]]) -> None:
    """Write the tasks, and what could not become one."""
    with write_atomically(path) as partial:
        rows = {"tasks": [asdict(task) for task in tasks], "left_out": list(left_out)}
        partial.write_text(json.dumps(rows))


def read_tasks(path: Path) -> tuple[list[Task], list[tuple[str, str]]]:
    """The inverse of `write_tasks`.

    Raises:
        CampaignError: the file is damaged.
    """
    try:
        rows = json.loads(path.read_text())
        return [Task(**row) for row in rows["tasks"]], [(n, r) for n, r in rows["left_out"]]
    except (ValueError, TypeError, KeyError) as error:
        raise CampaignError(
            f"{path} is damaged: {error}; start again in another WORK_DIR"
        ) from error


def write_programs(path: Path, sampled: Sampled) -> None:
    """Write one task's programs."""
    table = pa.table(
        {
            "features": pa.array([rows.tobytes() for rows in sampled.features], pa.binary()),
            "trace": pa.array(sampled.traces, pa.string()),
        }
    )
    with write_atomically(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_features(path: Path) -> Features:
    """The features of one task's programs.

    Raises:
        CampaignError: the file is damaged.
    """
    try:
        column = pq.read_table(path, columns=["features"])["features"]
    except (OSError, pa.ArrowException) as error:
        raise CampaignError(f"{path} is damaged: {error}; delete it and run again") from error
    return Features.from_programs(
        np.frombuffer(data, dtype=np.float32) for data in column.to_pylist()
    )


class TraceFiles(Sequence[str]):
    """All programs' traces, read from their task's file when one is asked for."""

    def __init__(self, paths: Sequence[Path], offsets: NDArray[np.int64]) -> None:
        self._paths, self._offsets = paths, offsets
        self._cached = -1
        self._traces: list[str] = []

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        task = int(np.searchsorted(self._offsets, index, side="right")) - 1
        if task != self._cached:
            table = pq.read_table(self._paths[task], columns=["trace"])
            self._traces, self._cached = table["trace"].to_pylist(), task
        return self._traces[index - int(self._offsets[task])]


def make_pool(tasks: Sequence[Task], paths: Sequence[Path]) -> Pool:
    """The pool of all sampled programs; nothing is measured in it yet."""
    features = [read_features(path) for path in paths]
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in features])]).astype(np.int64)
    return Pool(
        tasks=list(tasks),
        offsets=offsets,
        features=Features.concatenate(features),
        traces=TraceFiles(paths, offsets),
        outcomes=[None] * int(offsets[-1]),
    )
