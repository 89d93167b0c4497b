"""Quantile bins: what the histograms of a boosted forest are made over.

A tree can only ask whether a value is above one of a column's edges, so a column is kept as one
byte a program: how many edges its value is above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.compiled import jit

#: Rows that are encoded at a time: they stay in the cache.
_ROWS = 512


@dataclass(frozen=True)
class Bins:
    """The columns that can be split, and where.

    Attributes:
        columns: `C` columns of the table that the edges were made from, ascending.
        edges: ``C x (most - 1)`` float32, ascending, +inf after a column's last edge.
        widths: `C` int32, bins of each column: its edges and one.
    """

    columns: NDArray[np.int64]
    edges: NDArray[np.float32]
    widths: NDArray[np.int32]

    @classmethod
    def of(cls, table: NDArray[np.float32], most: int) -> Bins:
        """Bins of about equal numbers of rows, at most `most` (2 to 256) a column.

        A column of no more than `most` distinct values has one bin for each. Constant columns are
        left out, since a tree cannot split them. So is a column whose rows fall into the same bins
        as those of an earlier one (an increasing function of it, say): it would offer no new split.

        Args:
            table: `n x columns`, finite; a sample of the rows will do.
            most: bins a column.

        Returns:
            The bins, with the columns that are kept.
        """
        edges, widths = _edges(np.sort(table.T, axis=1), most)
        codes = np.empty(table.shape, dtype=np.uint8)
        _encode(table, edges, widths, codes)
        codes = np.ascontiguousarray(codes.T)
        first: dict[bytes, int] = {}
        for column in np.flatnonzero(widths > 1).tolist():
            first.setdefault(codes[column].tobytes(), column)
        columns = np.array(list(first.values()) or [0], dtype=np.int64)
        return cls(columns, edges[columns], widths[columns])

    def encode(self, table: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The bin of every value of `table`, ``n x C``, whose columns are `columns`.

        Args:
            table: ``n x columns``.

        Returns:
            Number of the bin within its column.
        """
        codes = np.empty(table.shape, dtype=np.uint8)
        _encode(table, self.edges, self.widths, codes)
        return codes

    def thresholds(self, column: NDArray[Any], code: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The edge above each bin: the values of higher bins, and no others, are greater.

        Args:
            column: places among `columns`.
            code: of the same shape; 255 for above all bins.

        Returns:
            Of the shape of `code`.
        """
        above_all = code >= self.edges.shape[1]
        edges = self.edges[column, np.where(above_all, 0, code)]
        return np.where(above_all, np.float32(np.inf), edges)


@jit
def _edges(ordered: Any, most: int) -> Any:
    """Edges and numbers of bins of columns whose values are sorted in the rows of `ordered`."""
    columns, n = ordered.shape
    edges = np.full((columns, most - 1), np.inf, np.float32)
    widths = np.ones(columns, np.int32)
    for c in range(columns):
        values = ordered[c]
        distinct = 1
        for i in range(1, n):
            distinct += values[i] != values[i - 1]
        last = 0  # quantiles below the last edge
        for i in range(1, n):
            below, above = values[i - 1], values[i]
            if below == above:  # an edge never parts equal values
                continue
            if distinct <= most or i * most // n > last:
                middle = below + (above - below) / np.float32(2)
                edges[c, widths[c] - 1] = middle if middle < above else below
                widths[c] += 1
                last = i * most // n
    return edges, widths


@jit
def _encode(table: Any, edges: Any, widths: Any, codes: Any) -> None:
    """Binary searches of many rows side by side, in as many steps for each: without branches."""
    n, columns = table.shape
    low = np.empty(_ROWS, np.int32)
    for start in range(0, n, _ROWS):
        count = min(_ROWS, n - start)
        for c in range(columns):
            low[:] = 0
            size = np.int64(widths[c]) - 1
            while size > 0:
                half = (size + 1) // 2
                # Unsigned: an index that cannot be negative is not tested for it.
                for i in range(count):
                    below = edges[c, np.uint64(low[i] + half - 1)] < table[start + i, c]
                    low[i] += np.int32(half if below else 0)
                size = size - half
            for i in range(count):
                codes[start + i, c] = low[i]
