"""Distances between programs in a feature space, as matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Columns of distances that are made at a time; there is never an `M x M` matrix.
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Points:
    """`M` programs in a feature space of `d` columns.

    Attributes:
        x: `M x d`, float32, centred: squared distances then lose few digits in the product.
        norms: `M`, squared lengths of the rows.
    """

    x: NDArray[np.float32]
    norms: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.floating[Any]]) -> Points:
        """Centre the rows of `M x d` features."""
        x = np.asarray(features - features.mean(axis=0), dtype=np.float32)
        return cls(x, np.einsum("ij,ij->i", x, x))

    def squared_distances(self, to: NDArray[np.int64]) -> NDArray[np.float32]:
        """Squared Euclidean distances of all programs to those of `to`, `M x len(to)`."""
        d = self.norms[:, None] + self.norms[to] - 2 * (self.x @ self.x[to].T)
        d[to, np.arange(len(to))] = 0
        return np.maximum(d, 0, out=d)

    def blocks(self, to: NDArray[np.int64]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Squared distances to many programs, block by block: which of `to`, and `M x block`."""
        for start in range(0, len(to), _BLOCK):
            part = slice(start, min(start + _BLOCK, len(to)))
            yield part, self.squared_distances(to[part])
