"""Program-level features for the selectors that look at inputs: gsx and igs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from balto.data.features import STORE, Features, FeatureTable


def program_features(
    features: FeatureTable, names: Sequence[str] = (STORE.name,)
) -> NDArray[np.float32]:
    """One row a program, comparable across columns: pooled, log-scaled, standardised.

    Counts and sizes span many orders of magnitude, so values enter as ``sign(v) log(1 + |v|)``. A
    program is the sum and the maximum of its store rows, and its one row of every other set; each
    column is then standardised over the programs of the task, and constant columns become 0.

    Args:
        features: of the `M` programs of one task.
        names: of the feature sets, those that the model reads.

    Returns:
        ``M x d`` float32; `d` is 328 for `store` alone.
    """
    parts = [_pooled(features[n]) if n == STORE.name else _scaled(features[n].rows) for n in names]
    pooled = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
    pooled -= pooled.mean(axis=0)
    deviation = pooled.std(axis=0)
    # Float32 sums leave a constant column with a deviation of rounding errors.
    varies = deviation > 1e-5
    pooled[:, varies] /= deviation[varies]
    pooled[:, ~varies] = 0
    return pooled


def _scaled(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.sign(rows) * np.log1p(np.abs(rows)))


def _pooled(features: Features) -> NDArray[np.float32]:
    """Sum and maximum of each program's scaled rows."""
    width = features.width
    pooled = np.zeros((len(features), 2 * width), dtype=np.float32)
    has_rows = features.counts > 0
    if has_rows.any():
        rows = _scaled(features.rows)
        starts = features.offsets[:-1][has_rows]
        pooled[has_rows, :width] = np.add.reduceat(rows, starts, axis=0)
        pooled[has_rows, width:] = np.maximum.reduceat(rows, starts, axis=0)
    return pooled
