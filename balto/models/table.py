"""One row a program for tree models, put together from several feature sets.

The columns of `store` come first, pooled (`balto.models.pooled`), then those of every other set,
each of which has one row a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.compiled import jit
from balto.data.features import FEATURE_SETS, STORE, FeatureTable
from balto.errors import InputError
from balto.models.pooled import POOLED_COLUMNS, pool_into

#: Programs whose rows are made at a time: they stay in the cache.
BLOCK = 128


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of `n` programs, which `columns` and `fill` make when they are needed.

    Attributes:
        rows: `R x 164`, of `store`; none where it is not read.
        offsets: `n + 1`, of `rows`.
        pooled: columns that come from `rows`: `POOLED_COLUMNS`, or 0.
        dense: ``n x D``, the columns of the other sets.
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.int64]
    pooled: int
    dense: NDArray[np.float32]

    @classmethod
    def of(cls, features: FeatureTable, names: Sequence[str], more: NDArray[np.float32]) -> Table:
        """Put the sets `names` together, and the columns `more`, ``n x S``, after them.

        Raises:
            InputError: If these programs do not have a set, or a set other than `store` has several
                rows a program.
        """
        size = len(features)
        others = [_one_row_each(features, name) for name in names if name != STORE.name]
        dense = np.concatenate([*others, more], axis=1) if others else more
        if STORE.name not in names:
            no_rows = np.empty((0, STORE.width), np.float32)
            return cls(no_rows, np.zeros(size + 1, np.int64), 0, dense)
        store = features[STORE.name]
        return cls(store.rows, store.offsets, POOLED_COLUMNS, dense)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def width(self) -> int:
        """How many columns there are."""
        return int(self.pooled + self.dense.shape[1])

    def columns(self, columns: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Some columns, ascending, or all: ``n x len(columns)``."""
        columns = np.arange(self.width) if columns is None else columns
        table = np.empty((len(columns), len(self)), np.float32)
        fill(*self.arrays(), columns, 0, len(self), table)
        return table.T

    def arrays(self) -> tuple[Any, Any, int, Any]:
        """What `fill` reads."""
        return self.rows, self.offsets, self.pooled, self.dense


@jit
def fill(
    rows: Any,
    offsets: Any,
    pooled: int,
    dense: Any,
    columns: Any,
    start: int,
    stop: int,
    table: Any,
) -> None:
    """Make the `columns` of programs `start` to `stop`; a row of `table` is one of them."""
    from_store = 0
    for c in columns:
        from_store += c < pooled
    if from_store:
        pool_into(rows, offsets[start : stop + 1], columns[:from_store], table.T)
    for begin in range(start, stop, BLOCK):
        end = min(begin + BLOCK, stop)
        for k in range(from_store, len(columns)):
            # Unsigned: an index that cannot be negative is not tested for it.
            column = np.uint64(columns[k] - pooled)
            for i in range(begin, end):
                table[k, i - start] = dense[np.uint64(i), column]


def table_width(names: Sequence[str]) -> int:
    """Columns of the rows that are put together from the feature sets `names`."""
    return sum(POOLED_COLUMNS if n == STORE.name else FEATURE_SETS[n].width for n in names)


def _one_row_each(features: FeatureTable, name: str) -> NDArray[np.float32]:
    one = features[name]
    if len(one.rows) != len(one) or (one.counts != 1).any():
        raise InputError(f"expected one row a program in the feature set {name}, got several")
    return one.rows
