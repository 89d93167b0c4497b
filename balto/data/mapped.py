"""Rows of features in memory, or, where they are more than memory should hold, mapped from a file.

The file is a temporary one (in the system's temporary folder, or that of ``TMPDIR``) that
disappears with the process. Only what is looked at of it takes memory, which the system may take
back.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from balto.errors import StorageError

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
        """Add some, ``n x width``.

        Raises:
            StorageError: If there are too many for memory, and no temporary file can hold them.
        """
        self._size += rows.nbytes
        self._parts.append(rows)
        if self._size > MAPPED:
            try:
                self._write()
            except OSError as error:
                raise StorageError(
                    f"cannot write {self._size:,} bytes to a temporary file: "
                    f"{error.strerror or error}; TMPDIR names another folder for it"
                ) from error

    def _write(self) -> None:
        """Move what is in memory to the file."""
        if self._file is None:
            temporary = tempfile.TemporaryFile(prefix="balto-features-")  # noqa: SIM115
            self._file = self._open.enter_context(temporary)
        for rows in self._parts:
            self._file.write(np.ascontiguousarray(rows).data)
        self._file.flush()
        self._parts.clear()

    def finish(self) -> NDArray[np.float32]:
        """All of them, in order; a mapping outlives its file."""
        if self._file is None:
            parts = self._parts or [np.empty((0, self._width), np.float32)]
            return np.concatenate(parts) if len(parts) > 1 else parts[0]
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
