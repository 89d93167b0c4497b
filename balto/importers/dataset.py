"""TenSet's ``dataset.pkl`` and ``*.feature_cache``, as pools with the features `store`.

Both hold three dictionaries by task: the features of its programs, their throughputs relative to
the best, and its smallest latency. The features come first in the file, the rest after them, so
that a file is gone through twice: for the numbers, then for the features, task by task. Of several
files, the features of a task that a later file has too wait in a temporary file.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.features import STORE, Features
from balto.data.files import reading
from balto.data.outcome import Status
from balto.data.outcomes import STATUSES, Outcomes
from balto.data.plausible import LARGEST_FEATURE
from balto.data.pool import Pool
from balto.data.task import Task
from balto.errors import InputError, StorageError
from balto.importers.costs import ENDLESS_S, FAILED_S, possible_latency
from balto.importers.imported import Imported, Names, SkipLine, part, write
from balto.importers.pickle_values import Given, LearningTask, Object
from balto.importers.pickles import Machine
from balto.importers.records import make_task
from balto.importers.weights import Networks
from balto.text import one_line

#: The version of TenSet's data sets that is known here.
FORMAT = 0.1


@dataclass(frozen=True)
class _Numbers:
    """What a file says of a task, beside its features."""

    task: LearningTask
    latency_s: NDArray[np.float64]


def import_datasets(
    paths: Sequence[Path],
    pool: str | Path,
    source: str,
    networks: Networks,
    device: str | None,
) -> Imported:
    """Read files of features and write a pool; what several files have of a task is joined.

    Args:
        paths: of ``.pkl`` or ``.feature_cache`` files.
        pool: where the pool goes.
        source: what was read, for messages.
        networks: how often each workload occurs in them.
        device: its name; None to take what the file says.

    Raises:
        InputError: a file is none of TenSet's, or is damaged.
        StorageError: the pool cannot be written.
    """
    result = Imported()
    parts = _parts(paths, networks, device or "", result)
    return write(parts, pool, source, result)


def _parts(
    paths: Sequence[Path], networks: Networks, device: str, result: Imported
) -> Iterator[Pool]:
    names, said = Names(), []
    for path in paths:
        with reading(path, InputError):
            said.append(_numbers(path))
    left = Counter(each.task for numbers in said for each in numbers.values())
    if shared := sum(count > 1 for count in left.values()):
        words = f"{shared} of {len(left)} tasks are in several files: their programs were joined"
        result.notes.append(words)
    with tempfile.TemporaryFile(buffering=0, prefix="balto-features-") as file:
        waiting = _Waiting(file)
        for path, numbers in zip(paths, said, strict=True):
            for about, features in _with_features(path, numbers):
                left[about.task] -= 1
                if left[about.task]:
                    waiting.put(about, features)
                    continue
                task = _task(about.task, path, device, networks, names)
                for each in chain(waiting.take(about.task), [(about, features)]):
                    yield from _part(task, *each, result)


class _Waiting:
    """What was read of tasks that a later file has too, with the features in a temporary file."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._parts: dict[LearningTask, list[tuple[_Numbers, int, NDArray[np.int64]]]]
        self._parts = defaultdict(list)

    def put(self, about: _Numbers, features: Features) -> None:
        """Keep what one file has of a task.

        Raises:
            StorageError: the temporary file cannot be written.
        """
        try:
            start = self._file.seek(0, 2)
            left = np.ascontiguousarray(features.rows).data.cast("B")
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise StorageError(
                f"cannot write a temporary file in {tempfile.gettempdir()}: {error.strerror}; "
                "TMPDIR names another folder"
            ) from error
        self._parts[about.task].append((about, start, features.offsets))

    def take(self, task: LearningTask) -> Iterator[tuple[_Numbers, Features]]:
        """What was kept of a task, in order."""
        for about, start, offsets in self._parts.pop(task, ()):
            self._file.seek(start)
            data = self._file.read(int(offsets[-1]) * STORE.width * 4)
            rows = np.frombuffer(data, np.float32).reshape(-1, STORE.width)
            yield about, Features(rows, offsets)


def _numbers(path: Path) -> dict[int, _Numbers]:
    """By the number of its features in the file, what it says of each task."""
    machine = Machine(path)
    for _ in machine.run():
        pass
    features, throughputs, least = _dictionaries(machine.result, path)
    found = {}
    for task, given in features.items():
        if not isinstance(task, LearningTask) or not isinstance(given, Given):
            raise InputError(f"{one_line(path)} has no features of {one_line(repr(task))[:80]}")
        values = getattr(throughputs.get(task), "values", None)
        smallest = least.get(task)
        if not isinstance(values, np.ndarray) or values.shape != (given.size,):
            raise InputError(f"{one_line(path)} has other throughputs than features of a task")
        if not isinstance(smallest, float) or not _possible(smallest):
            raise InputError(f"{one_line(path)} has no smallest latency of a task")
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            found[given.number] = _Numbers(task, smallest / values.astype(np.float64))
    return found


def _possible(smallest: float) -> bool:
    """Whether a smallest latency can be; of a task of which nothing worked it stands for that."""
    return bool(possible_latency(smallest)) or FAILED_S <= smallest < ENDLESS_S


def _dictionaries(value: Any, path: Path) -> Sequence[dict[Any, Any]]:
    if isinstance(value, Object) and value.named.role == "dataset":
        state = value.state
        if not isinstance(state, tuple) or len(state) != 5 or state[4] != FORMAT:
            raise InputError(f"{one_line(path)} is no data set of TenSet's version {FORMAT}")
        value = state[1:4]
    if (
        not isinstance(value, tuple)
        or len(value) != 3
        or not all(isinstance(v, dict) for v in value)
    ):
        raise InputError(
            f"expected TenSet's data set, or features, throughputs and latencies by task, in "
            f"{one_line(path)}; found something else"
        )
    return value


def _with_features(
    path: Path, numbers: Mapping[int, _Numbers]
) -> Iterator[tuple[_Numbers, Features]]:
    coming = Machine(path).run()
    while True:
        with reading(
            path, InputError
        ):  # around the reading alone: what is yielded is not the file's
            programs = next(coming, None)
            if programs is None:
                return
            about = numbers.get(programs.number)
            if about is None:
                raise InputError(f"{one_line(path)} has features of no task")
            features = _checked(programs.rows, programs.counts, path)
        yield about, features


def _part(task: Task, about: _Numbers, features: Features, result: Imported) -> Iterator[Pool]:
    """The programs of a task in one file, without those whose latency cannot be."""
    latency_s = about.latency_s
    kept = np.flatnonzero(possible_latency(latency_s) | (latency_s >= FAILED_S))
    if len(kept) < len(latency_s):
        result.skipped["a throughput that cannot be"] += len(latency_s) - len(kept)
        latency_s, features = latency_s[kept], features.take(kept)
    if len(kept):
        outcomes = _outcomes(latency_s, features)
        yield part(task, {STORE.name: features}, [None] * len(outcomes), outcomes)


def _task(task: LearningTask, path: Path, device: str, networks: Networks, names: Names) -> Task:
    try:
        return make_task(task.workload_key, task.target, None, device, networks, names)
    except SkipLine as reason:
        raise InputError(f"{one_line(path)} has a task with {reason}") from None


def _checked(rows: NDArray[np.float32], counts: NDArray[np.int64], path: Path) -> Features:
    if rows.shape[1] != STORE.width:
        raise InputError(
            f"expected {STORE.width} features a store in {one_line(path)}, found {rows.shape[1]}: "
            "they are of another version of TenSet; import its measure_records in their place"
        )
    if not len(counts) or not counts.all() or not (np.abs(rows) < LARGEST_FEATURE).all():
        raise InputError(
            f"{one_line(path)} has a task with features that are missing or not finite"
        )
    return Features(rows, np.concatenate([[0], counts]).cumsum(dtype=np.int64))


def _outcomes(latency_s: NDArray[np.float64], features: Features) -> Outcomes:
    """A failure is a throughput of about nothing; a lowering that failed is one row of zeros."""
    outcomes = Outcomes(len(latency_s))
    empty = ~np.logical_or.reduceat(features.rows.any(axis=1), features.offsets[:-1])
    failed = latency_s >= FAILED_S
    outcomes.status[:] = STATUSES.index(Status.OK)
    outcomes.status[failed] = STATUSES.index(Status.RUN_ERROR)
    outcomes.status[empty] = STATUSES.index(Status.BUILD_ERROR)
    good = ~failed & ~empty
    for name in ("latency_s", "latency_median_s"):
        outcomes.numbers[name][good] = latency_s[good]
    words = (
        "recorded as a failure, without its kind",
        "could not be lowered: its features are zeros",
    )
    outcomes.messages = {int(k): words[int(empty[k])] for k in np.flatnonzero(~good)}
    return outcomes
