"""Ansor's logs, TenSet's ``measure_records/``, as pools with the features `decisions`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path

from balto.data.features import DECISIONS
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.task import Task
from balto.errors import InputError
from balto.importers import ansor
from balto.importers.imported import (
    BATCH,
    Imported,
    Names,
    SkipLine,
    one_row_each,
    part,
    reading_line,
    writable,
    write,
)
from balto.importers.lines import TaskLines
from balto.importers.steps import StepReader
from balto.importers.weights import Networks

#: The folder in which TenSet keeps a folder of logs for each device.
MEASURE_RECORDS = "measure_records"


def import_records(
    paths: Sequence[Path],
    pool: str | Path,
    source: str,
    networks: Networks,
    device: str | None,
) -> Imported:
    """Read logs and write a pool.

    Args:
        paths: of the logs; records of one task may be in several.
        pool: where the pool goes.
        source: what was read, for messages.
        networks: how often each workload occurs in them.
        device: its name; None to take what the logs say.

    Raises:
        InputError: a file cannot be read, or none has a record.
        StorageError: the pool cannot be written.
    """
    result = Imported()
    lines = TaskLines(paths, _key, ansor.LONGEST_LINE, result.skipped)
    return write(_parts(lines, networks, device, result.skipped), pool, source, result)


def _key(line: bytes, path: Path) -> bytes:
    where = str(path.parent).encode() if device_folder(path) else b""
    return blake2b(ansor.task_of_line(line) + b"\n" + where, digest_size=16).digest()


@cache
def device_folder(path: Path) -> str:
    """Name of the device by where TenSet keeps its log; empty for a log that lies elsewhere.

    Asked of every line: the path is made whole once, and links are followed where that says more.
    """
    whole = (Path(os.path.abspath(path)), path.resolve())  # noqa: PTH100  # `..` goes, links stay
    return next((p.parent.name for p in whole if p.parent.parent.name == MEASURE_RECORDS), "")


def _parts(
    lines: TaskLines, networks: Networks, device: str | None, skipped: Counter[str]
) -> Iterator[Pool]:
    names = Names()
    for members in lines:
        task, reader = None, StepReader()
        records: list[ansor.Record] = []
        for path, line in members:
            try:
                with reading_line():
                    record = ansor.read_record(line)
                    reader.form(record.steps)
                    if task is None:
                        task = task_of(record, device or device_folder(path), networks, names)
            except SkipLine as reason:
                skipped[str(reason)] += 1
                continue
            records.append(record)
            if len(records) == BATCH:
                yield _part(task, records, reader)
                records = []
        if task is not None and records:
            yield _part(task, records, reader)


def task_of(record: ansor.Record, device: str, networks: Networks, names: Names) -> Task:
    """The task of a record.

    Raises:
        SkipLine: it does not say which.
    """
    return make_task(record.workload, record.target, record.cores, device, networks, names)


def make_task(
    workload: str,
    target_text: str,
    cores: int | None,
    device: str,
    networks: Networks,
    names: Names,
) -> Task:
    """A task from what TenSet says of it.

    Args:
        workload: its key, JSON.
        target_text: in TVM's older notation.
        cores: of the machine; None where unknown.
        device: its name; empty to take what the target says.
        networks: how often each workload occurs in them.
        names: those that are taken.

    Raises:
        SkipLine: the workload or the target is none.
    """
    op, arguments = ansor.name_and_arguments(workload)
    try:
        target = ansor.parse_target(target_text)
    except InputError:
        raise SkipLine("a target that is none") from None
    by_target = (target.option("model"), target.mcpu, target.option("arch"), target.kind)
    where = device or next(str(name) for name in by_target if name)
    if cores and target.on_cpu:
        where = f"{where}, {cores} {'core' if cores == 1 else 'cores'}"
    label = "x".join(_flat(arguments))
    name = names.unique(f"{op}_{label}" if label else op)
    networks.made(name, workload)
    return Task(
        name=name,
        op=writable(op),
        args=json.dumps(arguments),
        weight=networks.weight(workload),
        target=target,
        device=writable(where),
    )


def _flat(values: Sequence[object]) -> Iterator[str]:
    for value in values[:64]:
        if isinstance(value, list):
            yield from _flat(value[:16])
        else:
            yield str(value)[:16]


def _part(task: Task, records: Sequence[ansor.Record], reader: StepReader) -> Pool:
    rows = reader.rows([record.steps for record in records])
    outcomes = Outcomes.of(record.outcome for record in records)
    features = {DECISIONS.name: one_row_each(rows)}
    return part(task, features, [None] * len(records), outcomes)
