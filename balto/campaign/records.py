"""What the records of a journal may say; a right checksum does not make one right.

One JSON object each, as `docs/files.md` tells too; tasks go by name, since that is what stays the
same:

- ``{"kind": "config", ...}``: what `balto.campaign.config.Config` holds, when the campaign begins;
- ``{"kind": "tasks", "count"}``: of how many tasks programs are to be drawn;
- ``{"kind": "left_out", "task", "reason"}``: a task that could not be sampled;
- ``{"kind": "retry", "task"}``: it is to be tried again, and no longer finished or left out;
- ``{"kind": "programs", "task", "count", "file", "traces"}``: how many programs a task has, and
  the SHA-256 of their file and of their traces; null where they are those of a recorded pool;
- ``{"kind": "measurement", "task", "program", "status", "latency_s", ...}``;
- ``{"kind": "selection", "selector", "round", "picks": {task: [program, ...]}, "rules"}``;
- ``{"kind": "round", "selector", "round", ...}``: what `balto.learn.round.Round` holds;
- ``{"kind": "reference", "measurements", "accuracy"}``: what `balto.learn.all_labels` found, once;
- ``{"kind": "finished"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from balto.arguments import MOST_PROGRAMS, check_number
from balto.data.outcome import Outcome
from balto.errors import InputError
from balto.journal.records import Record, _check, possible_outcome, text_of
from balto.learn.all_labels import Reference
from balto.learn.round import Round, accuracy_from_dict, round_from_dict
from balto.learn.store import Selection
from balto.text import one_line

#: Of a campaign's folder: what was asked for; tasks; the folder of their programs; that of shards'
#: parts; every fact; the trained model.
CONFIG, TASKS, PROGRAMS, PARTS = "config.json", "tasks.json", "programs", "parts"
JOURNAL, MODEL = "journal.jsonl", "model.balto"


class Kind(StrEnum):
    """The kinds of records."""

    CONFIG = "config"
    TASKS = "tasks"
    LEFT_OUT = "left_out"
    RETRY = "retry"
    PROGRAMS = "programs"
    MEASUREMENT = "measurement"
    SELECTION = "selection"
    ROUND = "round"
    REFERENCE = "reference"
    FINISHED = "finished"


@dataclass(frozen=True)
class Programs:
    """How many programs a task has, and what they are.

    Attributes:
        count: of distinct programs.
        file: SHA-256 of the Parquet file that holds them; None in a recorded pool.
        traces: SHA-256 of their traces; None in a recorded pool.
    """

    count: int
    file: str | None = None
    traces: str | None = None


def programs_of(record: Record, known: Programs | None) -> Programs:
    """From a ``programs`` record.

    Args:
        record: of that kind.
        known: what was recorded of the same task before.

    Raises:
        InputError: a value is not what it should be, or the programs are others than before.
    """
    count, file, traces = record["count"], record["file"], record["traces"]
    check_number("count", count, 1, MOST_PROGRAMS, whole=True)
    for name, digest in (("file", file), ("traces", traces)):
        _check(digest is None or isinstance(digest, str), name, "a checksum or null", digest)
    if known is not None and (count, traces) != (known.count, known.traces):
        raise InputError("its programs are others than those that were recorded before")
    return Programs(count, file, traces)


def outcome_of(record: Record, sizes: Mapping[str, Programs]) -> tuple[str, int, Outcome]:
    """Task, program and outcome of a ``measurement`` record.

    Raises:
        InputError: there is no such program, or the outcome is impossible.
    """
    task, program = record["task"], record["program"]
    _check_program(task, program, sizes)
    return task, program, possible_outcome(record)


def selection_of(
    record: Record, sizes: Mapping[str, Programs]
) -> tuple[tuple[str, int], Selection]:
    """Selector, round and choice of a ``selection`` record.

    Raises:
        InputError: it chose programs that do not exist.
    """
    picks, rules = record["picks"], record["rules"]
    _check(isinstance(picks, dict), "picks", "programs by task", picks)
    for task, programs in picks.items():
        _check(isinstance(programs, list), "picks", "a list of programs a task", programs)
        for program in programs:
            _check_program(task, program, sizes)
        _check(len(set(programs)) == len(programs), "picks", "each program once", programs)
    _check(isinstance(rules, dict), "rules", "numbers by rule", rules)
    for rule, count in rules.items():
        check_number(f"programs chosen by {rule}", count, 0, whole=True)
    return _key(record), Selection(picks, rules)


def round_of(record: Record) -> tuple[tuple[str, int], Round]:
    """Selector and result of a ``round`` record.

    Raises:
        InputError: a value is not what it should be.
    """
    key = _key(record)
    values = {k: v for k, v in record.items() if k not in ("kind", "selector")}
    result = round_from_dict(values)
    check_number("measurements", result.measurements, 0, whole=True)
    for name in ("seconds", "select_s", "fit_s"):
        check_number(name, getattr(result, name), 0)
    for name in ("rules", "failures"):
        counts = getattr(result, name)
        _check(isinstance(counts, dict), name, "numbers by name", counts)
        for each in counts.values():
            check_number(name, each, 0, whole=True)
    judged = [result.accuracy, *result.task_accuracy.values()]
    for value in (v for a in judged if a is not None for v in a.to_dict().values()):
        _check(isinstance(value, int | float), "accuracy", "numbers", value)
    return key, result


def reference_of(record: Record) -> Reference:
    """From a ``reference`` record.

    Raises:
        InputError: a value is not what it should be.
    """
    check_number("measurements", record["measurements"], 1, whole=True)
    accuracy = accuracy_from_dict(record["accuracy"])
    for value in accuracy.to_dict().values():
        _check(isinstance(value, int | float), "accuracy", "numbers", value)
    return Reference(record["measurements"], accuracy)


def _key(record: Record) -> tuple[str, int]:
    check_number("round", record["round"], 1, whole=True)
    return text_of(record, "selector"), record["round"]


def _check_program(task: Any, program: Any, sizes: Mapping[str, Programs]) -> None:
    if type(task) is str and task in sizes and type(program) is int:
        if 0 <= program < sizes[task].count:
            return
    elif not isinstance(task, str) or task not in sizes:
        raise InputError(f"expected a task of this campaign, got {one_line(repr(task))}")
    check_number(f"program of {task}", program, 0, sizes[task].count - 1, whole=True)
