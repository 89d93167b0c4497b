"""Logs of one JSON record a line, grouped by task in flat memory.

A log may hold the records of many tasks in any order, and a pool has them task by task. So files
are gone through twice: once to see where each task's lines lie, of which only the places are kept,
and once to read them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from balto.data.files import reading
from balto.errors import InputError
from balto.importers.imported import SkipLine, reading_line

#: Tasks that may be told apart: more are no tuning logs, and their places would fill the memory.
MOST_TASKS = 200_000


def bounded_lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Places and lines of a file that have more than white space; None for one that is too long."""
    start = 0
    while line := file.readline(longest + 1):
        size, whole = len(line), len(line) <= longest
        while not whole and not line.endswith(b"\n"):  # go on to its end, and forget it
            line = file.readline(longest + 1)
            size += len(line)
            if not line:
                break
        if not whole:
            yield start, None
        elif line.strip():
            yield start, line
        start += size


class TaskLines:
    """Where the lines of each task lie.

    Args:
        paths: of the files, in order.
        key_of: the task of a line of the file with that path; raises `SkipLine` where it is none.
        longest: bytes of a line; longer ones are skipped.
        skipped: counts the lines that are no records, by reason.

    Raises:
        InputError: a file cannot be read, or there are too many tasks.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        key_of: Callable[[bytes, Path], bytes],
        longest: int,
        skipped: Counter[str],
    ) -> None:
        self._paths, self._longest = paths, longest
        self._spans: dict[bytes, array[int]] = {}  # file, start, stop; file, start, stop; ...
        for number, path in enumerate(paths):
            with reading(path, InputError), path.open("rb") as file:
                for start, line in bounded_lines(file, longest):
                    try:
                        if line is None:
                            raise SkipLine("too long")
                        with reading_line():
                            key = key_of(line, path)
                    except SkipLine as reason:
                        skipped[str(reason)] += 1
                        continue
                    self._add(key, number, start, start + len(line))

    def _add(self, key: bytes, number: int, start: int, stop: int) -> None:
        spans = self._spans.setdefault(key, array("q"))
        if len(spans) and spans[-3] == number and spans[-1] == start:
            spans[-1] = stop
            return
        spans.extend((number, start, stop))
        if len(self._spans) > MOST_TASKS:
            raise InputError(
                f"expected at most {MOST_TASKS:,} tasks, {self._paths[number]} has more: "
                "import the files in parts"
            )

    def __iter__(self) -> Iterator[Members]:
        """The lines of each task, in the order in which the tasks first occur."""
        return (Members(self._paths, spans, self._longest) for spans in self._spans.values())


@dataclass(frozen=True)
class Members:
    """The lines of one task, read anew whenever they are gone through.

    Attributes:
        paths: of all files.
        spans: file, start and stop of lines that follow one another; and again.
        longest: bytes of a line.
    """

    paths: Sequence[Path]
    spans: array[int]
    longest: int

    def __iter__(self) -> Iterator[tuple[Path, bytes]]:
        """File and line of each.

        Raises:
            InputError: a file cannot be read.
        """
        for k in range(0, len(self.spans), 3):
            number, start, stop = self.spans[k : k + 3]
            path = self.paths[number]
            with reading(path, InputError), path.open("rb") as file:
                file.seek(start)
                while file.tell() < stop and (line := file.readline(self.longest)):
                    yield path, line
