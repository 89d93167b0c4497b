"""Program-level features for the selectors that look at inputs: gsx and igs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from balto.programs.features import COLUMNS, Features


def program_features(features: Features) -> NDArray[np.float32]:
    """One row a program, comparable across columns: pooled, log-scaled, standardised.

    Counts and sizes span many orders of magnitude, so each store row enters as
    ``sign(v) log(1 + |v|)``; a program is the sum and the maximum of its rows; each column is
    then standardised over the programs of the task, and constant columns become 0.

    Args:
        features: of the `M` programs of one task.

    Returns:
        `M x 328` float32.
    """
    pooled = np.zeros((len(features), 2 * COLUMNS), dtype=np.float32)
    has_rows = features.stores > 0
    if has_rows.any():
        rows = np.sign(features.rows) * np.log1p(np.abs(features.rows))
        starts = features.offsets[:-1][has_rows]
        pooled[has_rows, :COLUMNS] = np.add.reduceat(rows, starts, axis=0)
        pooled[has_rows, COLUMNS:] = np.maximum.reduceat(rows, starts, axis=0)
    pooled -= pooled.mean(axis=0)
    deviation = pooled.std(axis=0)
    # Float32 sums leave a constant column with a deviation of rounding errors.
    varies = deviation > 1e-5
    pooled[:, varies] /= deviation[varies]
    pooled[:, ~varies] = 0
    return pooled
