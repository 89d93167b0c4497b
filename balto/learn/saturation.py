"""What the next measurements would still bring, by the learning curve so far.

Top-1 against the logarithm of the measurements is close to a line where a person thinks of
stopping, so the estimate is a least-squares line through the rounds: the simplest one that holds
on recorded pools (`docs/notes/saturation.md`, made by ``experiments/saturation.py``). It reads what
a campaign pays for anyway: Top-1 over random halves of the held-out programs, which moves less from
round to round than Top-1 itself. Not from the paper, which fixes the budget beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from balto.learn.round import Round

#: The share of the selectable programs that is asked about.
STEP = 0.02
#: Campaigns stop when the next `STEP` brings less than this of Top-1, which is in [0, 1] ...
LEAST_GAIN = 0.01
#: ... even if the estimate is too low by so many of its standard errors.
CONFIDENCE = 1.645
#: Rounds with different numbers of measurements that an estimate needs.
FEWEST = 6


@dataclass(frozen=True)
class Outlook:
    """What measuring another `STEP` of the programs would bring.

    Attributes:
        measurements: how many that are.
        gain: of Top-1, which is in [0, 1]; expected.
        error: standard error of the expectation; one run's gain varies by far more.
    """

    measurements: int
    gain: float
    error: float

    @property
    def saturated(self) -> bool:
        """Whether to stop: the gain is below `LEAST_GAIN` with `CONFIDENCE`."""
        return self.below(LEAST_GAIN)

    def below(self, least: float, confidence: float = CONFIDENCE) -> bool:
        """Whether the gain is below `least` even with `confidence` standard errors added to it.

        Args:
            least: a difference of Top-1.
            confidence: standard errors.

        Returns:
            Whether it is nearly sure that less is to be gained.
        """
        return self.gain + confidence * self.error < least


def outlook(rounds: Sequence[Round], selectable: int) -> Outlook | None:
    """The outlook, estimated from the rounds so far.

    Args:
        rounds: of one selector, in order.
        selectable: programs that may be selected, those that were included.

    Returns:
        None where fewer than `FEWEST` rounds measured something new and were judged, or nothing
        is left to measure.
    """
    judged = [each for each in rounds if each.accuracy is not None]
    top1 = [each.accuracy.top1_halves for each in judged if each.accuracy is not None]
    return outlook_of([each.measurements for each in judged], top1, selectable)


def outlook_of(
    measurements: Sequence[int], top1_halves: Sequence[float], selectable: int
) -> Outlook | None:
    """The outlook, estimated from a learning curve; rounds without a finite Top-1 are left out."""
    points: dict[int, float] = {}
    for count, top1 in zip(measurements, top1_halves, strict=True):
        if math.isfinite(top1):
            points.setdefault(count, top1)
    more = min(round(STEP * selectable), selectable - max(points, default=selectable))
    if len(points) < FEWEST or more < 1:
        return None
    x = np.log(np.array(list(points), dtype=np.float64))
    y = np.array(list(points.values()))
    x -= x.mean()
    slope = float(x @ y / (x @ x))
    residuals = y - y.mean() - slope * x
    error = math.sqrt(float(residuals @ residuals) / (len(x) - 2) / float(x @ x))
    step = math.log1p(more / max(points))
    return Outlook(more, slope * step, error * step)
