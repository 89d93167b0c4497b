"""From the seconds that a tool has recorded of one program to an outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from balto.data.outcome import Outcome, Status
from balto.data.plausible import LARGEST_LATENCY_S, LEAST_LATENCY_S, plausible
from balto.importers.imported import SkipLine

#: Costs of this many seconds or more stand for a failure, TVM writes 1e10; none is so long.
FAILED_S, ENDLESS_S = 1e9, 1e12


def sound(numbers: Sequence[Any]) -> bool:
    """Whether these are all numbers of seconds from 0, some of which may stand for a failure."""
    return all(type(n) in (int, float) and 0 <= n < ENDLESS_S for n in numbers)


def possible_latency(seconds: Any) -> Any:
    """Whether a program can take so long; of a number, or of each of an array."""
    return (seconds >= LEAST_LATENCY_S) & (seconds <= LARGEST_LATENCY_S)


def outcome_of_costs(costs: Any, measure_s: float = math.nan) -> Outcome:
    """The outcome of a program whose repeats took so long.

    Args:
        costs: seconds of each repeat, as the file has them.
        measure_s: seconds that building and measuring took; NaN where unknown.

    Raises:
        SkipLine: they are no costs, or stand for a program that was not measured.
    """
    if not isinstance(costs, list) or not costs or not sound(costs):
        raise SkipLine("costs that cannot be")
    ordered = sorted(map(float, costs))
    if ordered[-1] >= FAILED_S:
        message = f"recorded with a cost of {ordered[-1]:g} s, which stands for any failure"
        return Outcome(Status.RUN_ERROR, measure_s=measure_s, message=message)
    if ordered[0] <= 0:
        raise SkipLine("not measured")
    if not all(map(possible_latency, ordered)):
        raise SkipLine("costs that cannot be")
    middle = quantile(ordered, 0.5)
    spread = (quantile(ordered, 0.75) - quantile(ordered, 0.25)) / middle
    outcome = Outcome(
        Status.OK,
        latency_s=ordered[0],
        latency_median_s=middle,
        measure_s=measure_s,
        repeats=len(ordered),
        spread=spread if len(ordered) > 1 else math.nan,
    )
    if plausible(outcome) is not outcome:
        raise SkipLine("costs that cannot be")
    return outcome


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of few sorted numbers, interpolated; what NumPy does, in a hundredth of the time."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
