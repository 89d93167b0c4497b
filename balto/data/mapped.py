"""Rows of features in memory, or, where they are more than memory should hold, mapped from a file.

The file is a temporary one (in the system's temporary folder, ``TMPDIR``) that disappears with the
process; of what is mapped, only what is looked at takes memory, and the system may take it back.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

#: Rows of more bytes than this are mapped from a file.
MAPPED = 1 << 30


class Rows:
    """Gathers rows that come part after part; use it as a context.

    Args:
        width: columns of a row.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._size = 0
        self._parts: list[NDArray[np.float32]] = []
        self._file: IO[bytes] | None = None
        self._open = ExitStack()

    def append(self, rows: NDArray[np.float32]) -> None:
        """Add some, ``n x width``."""
        self._size += rows.nbytes
        self._parts.append(rows)
        if self._size > MAPPED:
            self._write()

    def _write(self) -> None:
        """Move what is in memory to the file."""
        if self._file is None:
            temporary = tempfile.TemporaryFile(prefix="balto-features-")  # noqa: SIM115
            self._file = self._open.enter_context(temporary)
        for rows in self._parts:
            self._file.write(np.ascontiguousarray(rows).data)
        self._parts.clear()

    def finish(self) -> NDArray[np.float32]:
        """All of them, in order; a mapping outlives its file."""
        if self._file is None:
            parts = self._parts or [np.empty((0, self._width), np.float32)]
            return np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._file.flush()
        mapped: NDArray[np.float32] = np.memmap(self._file, np.float32, "r")
        return mapped.reshape(-1, self._width)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
