"""Program-level features for tree models: the store rows of a program, pooled into one row.

A tree model wants one row of fixed length a program. Two views of the stores are laid side by
side: the whole program (how much work and traffic there is), and the store that does most of the
arithmetic (how the code that decides the time is tiled, vectorised and unrolled).

Almost all columns are ``log2(1 + x)`` of a count, which trees cannot add up, so the whole program
is summed in linear scale: ``log2(sum of 2^x)`` over stores.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.compiled import jit
from balto.data.features import STORE, Features

#: Columns of a store row.
COLUMNS = STORE.width
#: Columns of a pooled row: whole program, main store, number of stores.
POOLED_COLUMNS = 2 * COLUMNS + 1

_FLOAT_ARITHMETIC = 7  # columns 0 to 6: log counts of multiply-adds, additions, ...
_ITERATIONS = 161  # log count of how often the store is executed

#: Taylor coefficients of 2^x, to float32's precision for |x| <= 0.5.
_EXP2 = tuple(np.float32(math.log(2) ** k / math.factorial(k)) for k in range(8))
#: ``log2(m) = s * poly(s^2)`` for ``s = (m - 1) / (m + 1)``, 0.7 <= m <= 1.5.
_LOG2 = tuple(np.float32(2 / (math.log(2) * (2 * k + 1))) for k in range(6))
#: The bits of float32 0.7071...: mantissas are taken from there to its double.
_SQRT_HALF = int(np.float32(math.sqrt(0.5)).view(np.int32))


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
    pool_into(features.rows, features.offsets, columns, pooled)
    return pooled


@jit
def pool_into(rows: Any, offsets: Any, columns: Any, pooled: Any) -> None:
    """`pool_stores` into an array that is there."""
    # Unsigned: an index that cannot be negative is not tested for it.
    whole_end, main_end = 0, 0
    for c in columns:
        whole_end += c < COLUMNS
        main_end += c < 2 * COLUMNS
    summed, of_main = np.empty(whole_end, np.uint32), np.empty(main_end - whole_end, np.uint32)
    for k in range(main_end):
        if k < whole_end:
            summed[k] = columns[k]
        else:
            of_main[k - whole_end] = columns[k] - COLUMNS
    row, total = np.empty(len(summed), np.float32), np.empty(len(summed), np.float32)
    power, whole = np.empty(len(summed), np.float32), np.empty(len(summed), np.int32)
    for i in range(len(offsets) - 1):
        first, last = offsets[i], offsets[i + 1]
        main, most = first, np.float32(-np.inf)
        for k in range(len(summed)):
            total[k] = 0
        for r in range(first, last):
            for k in range(len(summed)):
                row[k] = rows[r, summed[k]]
            if last - first > 1:
                _add_exp2(row, total, power, whole)
            arithmetic = rows[r, 0]
            for c in range(1, _FLOAT_ARITHMETIC):
                arithmetic = max(arithmetic, rows[r, c])
            tied = arithmetic == most
            if arithmetic > most or (tied and rows[r, _ITERATIONS] > rows[main, _ITERATIONS]):
                main, most = r, arithmetic
        if last - first > 1:
            _log2(total, row, power, whole)
        for k in range(len(summed)):
            pooled[i, k] = row[k]
        for k in range(len(of_main)):
            pooled[i, len(summed) + k] = rows[main, of_main[k]]
        for k in range(len(summed) + len(of_main), len(columns)):
            pooled[i, k] = last - first


# The next two have neither branches nor calls in their loops, so that they become SIMD code, and
# slice nothing: threads would contend for the array's reference count.


@jit
def _add_exp2(x: Any, total: Any, power: Any, whole: Any) -> None:
    """Add ``2^x``, to the precision of float32, for x from -126 to 127."""
    bits = power.view(np.int32)
    for c in range(len(x)):
        nearest = np.rint(x[c])
        whole[c] = np.int32(nearest)
        rest = x[c] - nearest
        series = _EXP2[7]
        for k in range(6, -1, -1):
            series = series * rest + _EXP2[k]
        power[c] = series
    for c in range(len(x)):
        bits[c] += whole[c] << 23  # times 2^whole: the exponent is in the bits from 23 up
    for c in range(len(x)):
        total[c] += power[c]


@jit
def _log2(x: Any, out: Any, mantissa: Any, exponent: Any) -> None:
    """log2 of positive numbers, to the precision of float32."""
    bits, mantissa_bits = x.view(np.int32), mantissa.view(np.int32)
    for c in range(len(x)):
        exponent[c] = (bits[c] - _SQRT_HALF) >> 23
        mantissa_bits[c] = bits[c] - (exponent[c] << 23)
    for c in range(len(x)):
        s = (mantissa[c] - np.float32(1)) / (mantissa[c] + np.float32(1))
        square = s * s
        series = _LOG2[5]
        for k in range(4, -1, -1):
            series = series * square + _LOG2[k]
        out[c] = np.float32(exponent[c]) + s * series
