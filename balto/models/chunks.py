"""Go through many programs with flat memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

from balto.data.features import FeatureTable


def chunks(features: FeatureTable, size: int) -> Iterator[tuple[slice, FeatureTable]]:
    """Slices of `size` programs, each with its place among all.

    Where rows are mapped from a file that is only read, the pages of a slice are given back to
    the system once the caller asks for the next one.
    """
    arrays = [features[name].rows for name in features.names]
    files = [f for a in arrays if not a.flags.writeable and (f := _mapping(a)) is not None]
    for start in range(0, len(features), size):
        stop = min(start + size, len(features))
        yield slice(start, stop), features.slice(start, stop)
        for file in files if hasattr(mmap, "MADV_DONTNEED") else ():
            file.madvise(mmap.MADV_DONTNEED)


def _mapping(array: Any) -> mmap.mmap | None:
    """The file mapping that an array is a view of, if it is."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array
