"""The programs of a campaign on disk: one Parquet file a task, and the pool that they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from balto.campaign.records import Programs
from balto.data.features import FEATURE_SETS, Features, FeatureSet, FeatureTable
from balto.data.files import reading
from balto.data.mapped import Rows
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.task import Task
from balto.errors import CampaignError
from balto.programs.sample import Sampled


def encode_programs(sampled: Sampled) -> tuple[Programs, bytes]:
    """One task's file: traces, and a column of bytes for each feature set.

    Returns:
        What to journal of them, since nothing in the file itself tells that it is damaged; and
        the file's bytes.
    """
    columns = {
        _column(FEATURE_SETS[name]): pa.array([rows.tobytes() for rows in programs], pa.binary())
        for name, programs in sampled.features.items()
    }
    table = pa.table({**columns, "trace": pa.array(sampled.traces, pa.string())})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    traces = hashlib.sha256(json.dumps(sampled.traces).encode()).hexdigest()
    return Programs(len(sampled.traces), hashlib.sha256(data).hexdigest(), traces), data


def _read(path: Path, programs: Programs) -> pq.ParquetFile:
    """One task's file; use it inside `_damage`."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != programs.file:
        raise ValueError("its checksum does not match")
    return pq.ParquetFile(pa.BufferReader(data))


def _damage(path: Path) -> AbstractContextManager[None]:
    advice = (
        "delete it if it is there, and run balto pretrain again: the same programs are then drawn "
        "anew, which takes some seconds; nothing measured is lost"
    )
    return reading(path, CampaignError, advice)


def read_features(
    path: Path, programs: Programs, only: Sequence[str] | None = None
) -> FeatureTable:
    """The features of one task's programs.

    Args:
        path: of the task's file.
        programs: what was journalled of it.
        only: names of the sets to read; None for every one that is there.

    Raises:
        CampaignError: the file is damaged, or has none of the feature sets of this balto.
    """
    known = FEATURE_SETS if only is None else {name: FEATURE_SETS[name] for name in only}
    names = {_column(each): each for each in known.values()}
    with _damage(path):
        file = _read(path, programs)
        there = [name for name in names if name in file.schema_arrow.names]
        table = file.read(columns=there)
        if not there:
            raise CampaignError(
                f"{path} has none of the features that this balto reads "
                f"({', '.join(map(str, known.values()))}): start again in another WORK_DIR"
            )
        return FeatureTable({names[n].name: _features(table[n], names[n]) for n in there})


def _column(feature_set: FeatureSet) -> str:
    return f"{feature_set.name}-{feature_set.version}-{feature_set.width}"


def _features(column: pa.ChunkedArray, feature_set: FeatureSet) -> Features:
    programs = column.to_pylist()
    rows = np.frombuffer(b"".join(programs), np.float32).reshape(-1, feature_set.width)
    row_bytes = feature_set.width * rows.itemsize
    ends = np.cumsum([0, *(len(program) // row_bytes for program in programs)])
    return Features(rows, ends.astype(np.int64))


def read_traces(path: Path, programs: Programs) -> list[str]:
    """The traces of one task's programs.

    Raises:
        CampaignError: the file is damaged.
    """
    with _damage(path):
        return list(_read(path, programs).read(columns=["trace"])["trace"].to_pylist())


class TraceFiles(Sequence[str]):
    """All programs' traces, read from their task's file when one is asked for."""

    def __init__(
        self, paths: Sequence[Path], programs: Sequence[Programs], offsets: NDArray[np.int64]
    ) -> None:
        self._paths, self._programs, self._offsets = paths, programs, offsets
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
            self._traces, self._cached = read_traces(self._paths[task], self._programs[task]), task
        return self._traces[index - int(self._offsets[task])]


def make_pool(
    tasks: Sequence[Task],
    paths: Sequence[Path],
    programs: Sequence[Programs],
    sets: Sequence[str] | None = None,
) -> Pool:
    """The pool of all sampled programs; nothing is measured in it yet.

    A feature set of more than 1 GiB is mapped from a temporary file (`balto.data.mapped`).

    Args:
        tasks: at least one.
        paths: of each task's file.
        programs: what was journalled of each.
        sets: names of the feature sets that are wanted; None for every one that there is.

    Raises:
        CampaignError: a file is damaged.
    """
    offsets = np.cumsum([0, *(each.count for each in programs)]).astype(np.int64)
    return Pool(
        tasks=list(tasks),
        offsets=offsets,
        features=_gathered(paths, programs, sets),
        traces=TraceFiles(paths, programs, offsets),
        outcomes=Outcomes(int(offsets[-1])),
    )


def _gathered(
    paths: Sequence[Path], programs: Sequence[Programs], sets: Sequence[str] | None
) -> FeatureTable:
    """The features of all tasks, unpacked one task after the other."""
    if sets is None:
        sets = read_features(paths[0], programs[0]).names
    counts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in sets}
    with ExitStack() as files:
        rows = {name: files.enter_context(Rows(FEATURE_SETS[name].width)) for name in sets}
        for path, each in zip(paths, programs, strict=True) if sets else ():
            table = read_features(path, each, sets)
            for name in sets:
                rows[name].append(table[name].rows)
                counts[name].append(table[name].counts)
        made = {
            name: Features(rows[name].finish(), np.concatenate([[0], *counts[name]]).cumsum())
            for name in sets
        }
    return FeatureTable(made, sum(each.count for each in programs))
