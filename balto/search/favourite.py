"""Which program to take of a task of which none is measured: the model's favourite.

There is one shot, and the highest of many predictions is mostly one that is too high, the winner's
curse. Two things correct it. Members of an ensemble differ where a model knows little, so half of
their standard deviation is taken off. Programs of the same leaves share what a forest gets wrong of
them, so a program is trusted half as much as its neighbours: what they are expected to be on
average, by the share of leaves in common. ``experiments/favourite.py`` compares this with other
rules (`docs/search.md`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: How much the neighbours' mean counts beside the prediction; deviations that are taken off.
NEIGHBOURS, DEVIATIONS = 0.5, 0.5


def trusted(predicted: Floats, members: Floats, common: Floats) -> Floats:
    """What to expect of `n` programs if one must be taken unmeasured: the one of most.

    Args:
        predicted: `n`, relative throughput.
        members: ``K x n``, predictions of the members of the model's ensemble.
        common: ``n x n``, the share of leaves that each two have in common, 1 of each with itself.
    """
    # No product of matrices: its sums would depend on the threads of a library.
    neighbours = (common * predicted).sum(axis=1) / common.sum(axis=1)
    mean = NEIGHBOURS * neighbours + (1 - NEIGHBOURS) * predicted
    return np.asarray(mean - DEVIATIONS * members.std(axis=0))
