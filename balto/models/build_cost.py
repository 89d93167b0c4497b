"""What building a program will take, foretold before it is built.

Most of a campaign's seconds are LLVM's, and a few programs take most of those: thousands of
statements in one piece of straight code, which are never the fast ones. How much straight code a
program has is in its `loops` and `cycles`. A small forest, trained on recorded pools by
`experiments/build_seconds.py`, makes seconds of them; how fast this machine compiles, its own first
builds say.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balto.data.features import CYCLES, LOOPS, FeatureTable
from balto.models.file import load
from balto.models.forest import grow
from balto.models.xgb import XGB, binned

Floats = NDArray[np.float64]

#: The file of the forest that ships.
PATH = Path(__file__).parent / "build_cost.balto"
#: The feature sets that it reads.
READS = (LOOPS.name, CYCLES.name)
#: A build that takes so many times what was foretold, and more seconds than these, is ended.
FAR_PAST, LEAST_S = 5.0, 2.0
#: The forest: small, as it is asked in every choice.
_SETTINGS = {
    "features": "+".join(READS),
    "num_boost_round": 8,
    "num_parallel_tree": 2,
    "colsample_bytree": 0.5,
    "min_child_weight": 20.0,
}


class BuildCost:
    """Foretells seconds of building.

    Args:
        forest: predicts the logarithm of seconds, as `fitted` makes it; the one that ships if None.
    """

    def __init__(self, forest: XGB | None = None) -> None:
        self._forest = _shipped() if forest is None else forest
        self._wrong, self._builds = 0.0, 0

    def seconds(self, features: FeatureTable) -> Floats:
        """Seconds that building each of `n` programs is expected to take on this machine."""
        # As if one build had taken what it takes elsewhere: the first one alone may mislead.
        scale = self._wrong / (self._builds + 1)
        return np.asarray(np.exp(self._forest.predict_roots(features) + scale))

    def learn(self, features: FeatureTable, build_s: Floats) -> None:
        """Take in what building `n` programs took here, seconds; NaN where that is not known."""
        known = np.flatnonzero(np.isfinite(build_s) & (build_s > 0))
        if len(known):
            said = self._forest.predict_roots(features.take(known))
            self._wrong += float((np.log(build_s[known]) - said).sum())
            self._builds += len(known)


def can_foretell(features: FeatureTable) -> bool:
    """Whether programs have the feature sets that are read."""
    return all(name in features for name in READS)


def limits(expected_s: Floats) -> Floats:
    """Seconds of the processor after which builds are ended that were expected to take less."""
    return np.maximum(FAR_PAST * expected_s, LEAST_S)


def fitted(features: FeatureTable, build_s: Floats, pool: NDArray[np.int64]) -> XGB:
    """A forest trained on recorded builds.

    Args:
        features: of `n` programs.
        build_s: `n`, above 0.
        pool: `n`, which pool each is from: machines compile at different speeds, so the median of
            each pool is taken for that of all.
    """
    logarithm = np.log(build_s)
    typical = {each: float(np.median(logarithm[pool == each])) for each in np.unique(pool).tolist()}
    level = math.fsum(typical.values()) / len(typical)
    logarithm += np.array([level - typical[each] for each in pool.tolist()])
    forest = XGB(0, **_SETTINGS)
    bins, codes = binned(features, READS, forest.settings.max_bins)
    forest.forest = grow(bins, codes, logarithm, np.ones(len(codes)), forest.settings, forest.seed)
    return forest


@cache
def _shipped() -> XGB:
    forest, _ = load(PATH)
    assert isinstance(forest, XGB)
    return forest
