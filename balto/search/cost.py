"""What a trial is expected to take, in searches whose budget is time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from balto.data.features import FeatureTable
from balto.data.outcome import Outcome
from balto.models.build_cost import BuildCost, can_foretell, limits

Floats = NDArray[np.float64]

#: What timing a program takes before one was timed, seconds.
_TIMING_S = 0.1


class TrialCost:
    """Foretells what trials take: building, as foretold, and timing, as it took so far."""

    def __init__(self) -> None:
        self._build = BuildCost()
        self._timing_s, self._timed = _TIMING_S, 1

    def seconds(self, features: FeatureTable) -> Floats | None:
        """Seconds of trying each of `n` programs; None if their features do not tell."""
        if not can_foretell(features):
            return None
        return np.asarray(self._build.seconds(features) + self._timing_s / self._timed)

    def build_limits(self, features: FeatureTable) -> Floats | None:
        """Seconds after which builds of `n` programs are ended; None if features do not tell."""
        return limits(self._build.seconds(features)) if can_foretell(features) else None

    def learn(self, features: FeatureTable, outcomes: Sequence[Outcome]) -> None:
        """Take in what `n` trials took."""
        if can_foretell(features):
            self._build.learn(features, np.array([each.build_s for each in outcomes]))
        timed = [each.measure_s for each in outcomes if each.measure_s > 0]
        self._timing_s += sum(timed)
        self._timed += len(timed)
