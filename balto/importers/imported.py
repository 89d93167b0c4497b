"""What an import gave, and how its parts become a pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.features import Features, FeatureTable
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.pool_writer import write_parts
from balto.data.task import Task
from balto.errors import InputError
from balto.text import one_line

#: Programs that are held in memory at a time, and reasons for skipped lines that are told, at most.
BATCH, REASONS = 16_384, 8
#: How compressed files begin.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class SkipLine(Exception):
    """A line that is no record, which is counted and left out; the text says why."""


@contextmanager
def reading_line() -> Iterator[None]:
    """Turn whatever the content of a line raises into `SkipLine`, as `reading` does for files.

    Use it around what looks at the line alone.
    """
    try:
        yield
    except SkipLine:
        raise
    except Exception:
        raise SkipLine("a record that makes no sense") from None


def writable(text: str) -> str:
    """A text that a pool can hold.

    Raises:
        SkipLine: If it has half a character of two, which JSON can say and no file can hold.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SkipLine("a text that is no UTF-8")
    return text


@dataclass
class Imported:
    """What an import gave.

    Attributes:
        tasks: how many there are.
        programs: how many were written.
        statuses: how many of them ended in which status.
        skipped: lines that are no records, by reason.
        notes: what a person should know beside that, one line each.
    """

    tasks: int = 0
    programs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns:
            Every number by its name.
        """
        return {
            **vars(self),
            "statuses": dict(self.statuses),
            "skipped": dict(self.skipped),
        }

    def skipped_words(self) -> str:
        """How many lines were skipped, and why; empty if none was.

        Returns:
            One line.
        """
        total = sum(self.skipped.values())
        if not total:
            return ""
        most = self.skipped.most_common(REASONS)
        reasons = [f"{n} {reason}" for reason, n in most]
        if others := total - sum(n for _, n in most):
            reasons.append(f"and {others} more for other reasons")
        return f"{total} {'line' if total == 1 else 'lines'} skipped: {', '.join(reasons)}"


def refuse_packed(path: Path) -> None:
    """Refuse a compressed file by what it is compressed with; use it inside `reading`.

    Raises:
        InputError: it is compressed.
    """
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(8)
        kind = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None)
        if kind is not None:
            raise InputError(f"{one_line(path)} is compressed with {kind}: unpack it first")


def part(task: Task, features: dict[str, Features], traces: list[Any], outcomes: Outcomes) -> Pool:
    """Some programs of one task, as a pool of that task alone."""
    ends = np.array([0, len(outcomes)], np.int64)
    return Pool([task], ends, FeatureTable(features), traces, outcomes)


def one_row_each(rows: NDArray[np.float32]) -> Features:
    """Features of programs that have one row each."""
    return Features(rows, np.arange(len(rows) + 1, dtype=np.int64))


def write(parts: Iterable[Pool], path: str | Path, source: str, result: Imported) -> Imported:
    """Write parts as a pool while they come; parts of one task follow one another.

    Args:
        parts: each of one task; a generator may add to `result` what it skips.
        path: the pool.
        source: what was read, for the message.
        result: is filled in and returned.

    Raises:
        InputError: there is no part.
        StorageError: the pool cannot be written.
    """
    coming = iter(parts)
    first = next(coming, None)
    if first is None:
        words = result.skipped_words()
        raise InputError(f"found no record to import in {source}" + (f": {words}" if words else ""))

    def counted() -> Iterator[tuple[Task, Pool, NDArray[np.int64]]]:
        last = None
        for each in chain([first], coming):
            [task] = each.tasks
            result.tasks += task is not last
            result.statuses += each.outcomes.counts()
            last = task
            yield task, each, np.arange(len(each), dtype=np.int64)

    result.programs = write_parts(counted(), path)
    return result


class Names:
    """Gives every task a name of its own."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """`name`, with a number if another task has it."""
        plain = "".join(c if c.isprintable() and c != " " else "_" for c in name)[:120] or "task"
        free = plain
        while free in self._taken:
            self._taken[plain] += 1
            free = f"{plain}_{self._taken[plain]}"
        self._taken[free] = 1
        return free
