"""Distances between programs in a feature space, as matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Columns of distances that are made at a time; there is never an `M x M` matrix.
_BLOCK = 64
#: Squared distances below this share of the points' squared lengths are 0: the product's rounding
#: hides them, and two copies of one program have none.
_ROUNDING = 2.0**-43


@dataclass(frozen=True, eq=False)
class Points:
    """`M` programs in a feature space of `d` columns.

    Attributes:
        x: `M x d`. The rows are about centred, since squared distances then lose few digits in the
            product; and divided by one power of two, which keeps their squares in range.
        norms: `M`, squared lengths of the rows.
    """

    x: Floats
    norms: Floats

    @classmethod
    def of(cls, features: NDArray[np.floating[Any]]) -> Points:
        """Centre and scale the rows of `M x d` features.

        Both are exact for features of few digits, so that equal distances stay equal.
        """
        _, exponent = np.frexp(np.abs(features).max(initial=0))
        x = np.ldexp(features.astype(np.float64), -int(exponent))
        x -= np.rint(x.mean(axis=0) * 1024) / 1024
        return cls(x, np.einsum("ij,ij->i", x, x))

    def squared_distances(self, to: NDArray[np.int64]) -> Floats:
        """Squared Euclidean distances, scaled, of all programs to those of `to`: `M x len(to)`."""
        lengths = self.norms[:, None] + self.norms[to]
        d = lengths - 2 * (self.x @ self.x[to].T)
        d[d <= _ROUNDING * lengths] = 0
        return d

    def blocks(self, to: NDArray[np.int64]) -> Iterator[tuple[slice, Floats]]:
        """Squared distances to many programs, block by block: which of `to`, and `M x block`."""
        for start in range(0, len(to), _BLOCK):
            part = slice(start, min(start + _BLOCK, len(to)))
            yield part, self.squared_distances(to[part])
