"""Program-level features for tree models: the store rows of a program, pooled into one row.

A tree model wants one row of fixed length a program. Two views of the stores are laid side by
side: the whole program (how much work and traffic there is), and the store that does most of the
arithmetic (how the code that decides the time is tiled, vectorised and unrolled).

Almost all columns are ``log2(1 + x)`` of a count, which trees cannot add up, so the whole program
is summed in linear scale: ``log2(sum of 2^x)`` over stores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from balto.programs.features import COLUMNS, Features

#: Columns of a pooled row: whole program, main store, number of stores.
POOLED_COLUMNS = 2 * COLUMNS + 1

_FLOAT_ARITHMETIC = slice(0, 7)  # log counts of multiply-adds, additions, ..., other functions
_ITERATIONS = 161  # log count of how often the store is executed
_BLOCK = 512  # programs whose rows fit the cache; several times faster than all at once


def pool_stores(
    features: Features, columns: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Pool the rows of `n` programs of at least one store each.

    Args:
        features: of `n` programs.
        columns: which of the `POOLED_COLUMNS` to make, ascending; all by default.

    Returns:
        `n x len(columns)` float32.
    """
    if columns is None:
        columns = np.arange(POOLED_COLUMNS)
    pooled = np.empty((len(features), len(columns)), dtype=np.float32)
    for start in range(0, len(features), _BLOCK):
        stop = min(start + _BLOCK, len(features))
        _pool_block(features.slice(start, stop), columns, pooled[start:stop])
    return pooled


def _pool_block(
    features: Features, columns: NDArray[np.int64], pooled: NDArray[np.float32]
) -> None:
    stores, rows, first = features.stores, features.rows, features.offsets[:-1]
    whole, end = np.searchsorted(columns, [COLUMNS, 2 * COLUMNS])
    linear = np.exp2(rows.take(columns[:whole], axis=1))
    total = linear.take(first, axis=0)
    main = first.copy()
    arithmetic, iterations = rows[:, _FLOAT_ARITHMETIC].max(axis=1), rows[:, _ITERATIONS]
    for j in range(1, int(stores.max(initial=1))):
        longer = np.flatnonzero(stores > j)
        row, best = first[longer] + j, main[longer]
        total[longer] += linear.take(row, axis=0)
        more = arithmetic[row] > arithmetic[best]
        tied = arithmetic[row] == arithmetic[best]
        more |= tied & (iterations[row] > iterations[best])
        main[longer[more]] = row[more]
    np.log2(total, out=pooled[:, :whole])
    pooled[:, whole:end] = rows.take(main, axis=0).take(columns[whole:end] - COLUMNS, axis=1)
    pooled[:, end:] = stores[:, None]
