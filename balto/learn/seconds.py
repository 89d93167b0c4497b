"""A budget of measured seconds: how many programs a round may choose, and which of them fit.

What a program costs is foretold (`balto.models.build_cost`), and corrected by what the chosen ones
took: their builds, and their timing. Selectors that weigh programs divide what one teaches by its
seconds; then each round measures, of what was chosen, what fits into the seconds that it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from balto.data.features import FeatureTable
from balto.data.outcomes import Outcomes
from balto.models.build_cost import BuildCost, can_foretell, limits

Floats = NDArray[np.float64]

#: What timing, and building where it cannot be foretold, take before there was any, seconds.
_TIMING_S, _BUILD_S = 0.1, 0.4
#: Programs that are chosen, for one that is expected to fit: the cheaper ones of them are measured.
_CHOSEN = 2.0


class SecondsBudget:
    """What programs of a pool are expected to take, and how many of them fit.

    Args:
        seconds: of building and timing, for all rounds together.
        rounds: how many there are; each has the same part, and what those before it have left.
        features: of the `n` programs of the pool.
    """

    def __init__(self, seconds: float, rounds: int, features: FeatureTable) -> None:
        self.seconds, self._rounds, self._features = seconds, rounds, features
        self._builds = np.full(len(features), math.nan)
        self.learn(np.empty(0, np.int64), Outcomes())

    def learn(self, programs: NDArray[np.int64], outcomes: Outcomes) -> None:
        """Set right what is expected, by all that is known; before a round chooses.

        Args:
            programs: places in the pool of those that were chosen so far.
            outcomes: of these.
        """
        build_s, timing_s = outcomes.numbers["build_s"], outcomes.numbers["measure_s"]
        timed = timing_s[timing_s > 0]
        timing = (_TIMING_S + float(timed.sum())) / (1 + len(timed))
        if can_foretell(self._features):
            cost = BuildCost()
            cost.learn(self._features.take(programs), build_s)
            self._builds = cost.seconds(self._features)
        else:
            built = build_s[build_s > 0]
            self._builds[:] = (_BUILD_S + float(built.sum())) / (1 + len(built))
        self.expected = self._builds + timing
        self._spent = float(outcomes.seconds.sum())

    def limits(self) -> Floats:
        """Seconds after which the build of each of the `n` programs is ended as too dear."""
        if not can_foretell(self._features):
            return np.full(len(self._builds), math.inf)
        return limits(self._builds)

    def left(self, round_number: int) -> float:
        """Seconds that a round may use; below 0 if those before it used too many."""
        return self.seconds * round_number / self._rounds - self._spent

    def count(self, left_s: float, free: NDArray[np.int64]) -> int:
        """How many programs to choose of those that are free, by their places in the pool."""
        if left_s <= 0 or not len(free):
            return 0
        return min(len(free), math.ceil(_CHOSEN * left_s / float(self.expected[free].mean())))

    def fit(
        self, picks: Mapping[int, NDArray[np.int64]], left_s: float, least: int = 0
    ) -> dict[int, NDArray[np.int64]]:
        """Those of the chosen programs that fit: each task's first choice, then its second, ...

        A program that does not fit is passed over, and cheaper ones after it still may.

        Args:
            picks: places in the pool, by task, in the order of choice.
            left_s: seconds that they may take.
            least: as many are kept whatever they take.
        """
        turns = sorted((rank, k) for k, some in picks.items() for rank in range(len(some)))
        kept: dict[int, list[int]] = {k: [] for k in picks}
        count = 0
        for rank, k in turns:
            program = int(picks[k][rank])
            cost = float(self.expected[program])
            if count < least or cost <= left_s:
                kept[k].append(program)
                left_s, count = left_s - cost, count + 1
        return {k: np.array(some, np.int64) for k, some in kept.items()}
