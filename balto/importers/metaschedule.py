"""``balto import metaschedule``: the JSON databases of years of tuning, as a recorded pool.

``database_workload.json`` has a line ``[hash, module]`` a workload, and
``database_tuning_record.json`` a line ``[workload, [trace, seconds, target, arguments]]`` a
program. A database does not keep devices apart: its records become a task for each target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balto.data.features import DECISIONS
from balto.data.files import as_path, reading
from balto.data.outcome import Outcome
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.task import Task
from balto.errors import InputError
from balto.importers.database import digest, key, read_record, row_of, task_of
from balto.importers.imported import (
    Imported,
    Names,
    SkipLine,
    one_row_each,
    part,
    reading_line,
    refuse_packed,
    write,
)
from balto.importers.lines import Members, TaskLines
from balto.importers.modules import LONGEST_LINE, Modules, read_modules
from balto.text import one_line

#: The files of a database.
WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"
#: Characters of traces that are held at a time.
HELD = 1 << 25


def import_metaschedule(
    work_dir: str | Path, pool: str | Path, device: str | None = None
) -> Imported:
    """Read a database and write a pool with its modules, traces and the features `decisions`.

    Where TVM is installed it reads each module, in a worker process, and applies traces to it until
    one works. A module that this TVM does not read is left out, and so `balto features` cannot add
    to that task; programs that it cannot make of a module that it reads are skipped.

    Args:
        work_dir: the folder of the database, or the ``work_dir`` of a tuning.
        pool: where the pool goes.
        device: the name of the device that measured; None to take what the targets say.

    Returns:
        What was written, and what was skipped and why.

    Raises:
        InputError: If there is no database at `work_dir`, or nothing of it can be read.
        StorageError: If the pool cannot be written.

    Examples:
        >>> tuned = balto.tune_operators(["matmul:32x32x32"], "tuned", trials=4)
        >>> found = balto.importers.import_metaschedule("tuned", "pool")
        >>> found.tasks, len(balto.read_pool("pool").tasks)
        (1, 1)
    """
    folder = as_path(work_dir)
    with reading(folder, InputError):
        if not (folder / RECORDS).is_file() and (folder / "database" / RECORDS).is_file():
            folder = folder / "database"  # of balto tune
        for name in (WORKLOADS, RECORDS):
            if not (folder / name).is_file():
                raise InputError(
                    f"expected MetaSchedule's {WORKLOADS} and {RECORDS} in {one_line(folder)}, "
                    f"found no {name}"
                )
            refuse_packed(folder / name)
    result = Imported()
    with reading(folder / WORKLOADS, InputError):
        modules = read_modules(folder / WORKLOADS)
    lines = TaskLines([folder / RECORDS], key, LONGEST_LINE, result.skipped)
    with Modules(modules) as described:
        parts = _parts(lines, described, device, result)
        write(parts, pool, one_line(folder), result)
        result.notes += described.notes()
    return result


def _parts(
    lines: TaskLines, described: Modules, device: str | None, result: Imported
) -> Iterator[Pool]:
    names = Names()
    for members in lines:
        kept = _kept(members)
        module = described.of(members)
        task: Task | None = None
        traces: list[str] = []
        rows: list[NDArray[np.float32]] = []
        outcomes: list[Outcome] = []
        for number, (_, line) in enumerate(members):
            try:
                _, trace, outcome = read_record(line)
                if not described.applies(trace, module):
                    raise SkipLine("a trace that this TVM cannot apply")
                if task is None:
                    with reading_line():
                        task = task_of(line, module.text, module.flop, device, names)
                if kept.get(digest(trace)) != number:
                    raise SkipLine("the same program again")
                row = row_of(trace)
            except SkipLine as reason:
                result.skipped[str(reason)] += 1
                continue
            traces.append(trace)
            rows.append(row)
            outcomes.append(outcome)
            if sum(map(len, traces)) > HELD:
                yield _part(task, traces, rows, outcomes)
                traces, rows, outcomes = [], [], []
        if task is not None and traces:
            yield _part(task, traces, rows, outcomes)


def _kept(lines: Members) -> dict[bytes, int]:
    """Which line of each program is taken: the first that worked, or the first."""
    kept: dict[bytes, tuple[bool, int]] = {}
    for number, (_, line) in enumerate(lines):
        try:
            _, trace, outcome = read_record(line)
        except SkipLine:
            continue
        before = kept.setdefault(digest(trace), (outcome.ok, number))
        if outcome.ok and not before[0]:
            kept[digest(trace)] = (True, number)
    return {program: number for program, (_, number) in kept.items()}


def _part(
    task: Task,
    traces: list[str],
    rows: Sequence[NDArray[np.float32]],
    outcomes: Sequence[Outcome],
) -> Pool:
    features = {DECISIONS.name: one_row_each(np.concatenate(rows))}
    return part(task, features, list(traces), Outcomes.of(outcomes))
