"""Go through many programs with flat memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

from balto.programs.features import Features


def chunks(features: Features, size: int) -> Iterator[tuple[slice, Features]]:
    """Slices of `size` programs, each with its place among all.

    Where the rows are mapped from a file that is only read, the pages of a slice are given back
    to the system once the caller asks for the next one.
    """
    file = None if features.rows.flags.writeable else _mapping(features.rows)
    for start in range(0, len(features), size):
        stop = min(start + size, len(features))
        yield slice(start, stop), features.slice(start, stop)
        if file is not None and hasattr(mmap, "MADV_DONTNEED"):
            file.madvise(mmap.MADV_DONTNEED)


def _mapping(array: Any) -> mmap.mmap | None:
    """The file mapping that an array is a view of, if it is."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array
