"""Program-level features for tree models: the store rows of a program, pooled.

A tree model wants one row of fixed length a program. Sums describe the whole program (work,
traffic), maxima its dominant store, which decides the time of most programs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from balto.programs.features import COLUMNS, Features

#: Columns of a pooled row: sums, maxima, number of stores.
POOLED_COLUMNS = 2 * COLUMNS + 1


def pool_stores(features: Features) -> NDArray[np.float32]:
    """Pool the rows of `n` programs of at least one store each, `n x POOLED_COLUMNS` float32."""
    pooled = np.empty((len(features), POOLED_COLUMNS), dtype=np.float32)
    if len(features) == 0:
        return pooled
    starts = features.offsets[:-1]
    np.add.reduceat(features.rows, starts, axis=0, out=pooled[:, :COLUMNS])
    np.maximum.reduceat(features.rows, starts, axis=0, out=pooled[:, COLUMNS : 2 * COLUMNS])
    pooled[:, -1] = features.stores
    return pooled
