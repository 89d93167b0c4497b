"""Per-store features of programs: one ragged array, held flat.

A program is described by one row of 164 numbers for each of its buffer stores
(TVM's ``PerStoreFeature``, the features of Ansor and TenSet). Programs have different
numbers of stores, so all rows lie in one array and `offsets` says where each program's begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Columns of a per-store feature row.
COLUMNS = 164


@dataclass(frozen=True, eq=False)
class Features:
    """The store features of `n` programs.

    Attributes:
        rows: `R x 164` float32, all store rows of all programs, in order. May be memory-mapped.
        offsets: `n + 1` int64; program `i` owns ``rows[offsets[i]:offsets[i + 1]]``.
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def from_programs(cls, programs: Iterable[ArrayLike]) -> Features:
        """Gather one `stores x 164` array a program into one flat array."""
        parts = [np.asarray(p, dtype=np.float32).reshape(-1, COLUMNS) for p in programs]
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(p) for p in parts], out=offsets[1:])
        rows = np.concatenate(parts) if parts else np.empty((0, COLUMNS), np.float32)
        return cls(rows, offsets)

    @classmethod
    def concatenate(cls, parts: Sequence[Features]) -> Features:
        """Join several sets of programs, in order."""
        if not parts:
            return cls.from_programs([])
        counts = np.concatenate([p.stores for p in parts])
        offsets = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        return cls(np.concatenate([p.rows for p in parts]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, program: int) -> NDArray[np.float32]:
        """The `stores x 164` rows of one program."""
        return self.rows[self.offsets[program] : self.offsets[program + 1]]

    @property
    def stores(self) -> NDArray[np.int64]:
        """Number of store rows of each program, `n`."""
        return np.diff(self.offsets)

    @property
    def program_of_row(self) -> NDArray[np.int64]:
        """Which program each row belongs to, `R`."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.stores)

    def take(self, programs: NDArray[np.integer]) -> Features:
        """The features of the given programs, in the given order."""
        programs = np.asarray(programs, dtype=np.int64)
        counts = self.stores[programs]
        offsets = np.zeros(len(programs) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        starts = np.repeat(self.offsets[programs] - offsets[:-1], counts)
        return Features(self.rows[starts + np.arange(offsets[-1])], offsets)

    def slice(self, start: int, stop: int) -> Features:
        """Programs `start` to `stop`, without a copy of their rows."""
        offsets = self.offsets[start : stop + 1]
        return Features(self.rows[offsets[0] : offsets[-1]], offsets - offsets[0])
