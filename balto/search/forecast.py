"""What a search is expected to find with more trials, before it spends them.

Of 155 searches of operators (`pools/near-best-avx2`), each doubling of a task's trials made its
best program 5 % faster on average, from the fourth trial to the hundredth; how much it was in one
search did not depend on what that search had gained before. Trials go to a task by the share that
it has of the network's time. `experiments/forecasts.py` judges what is foretold on new searches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from balto.units import seconds

#: How much the logarithm of a task's best throughput grows with each doubling of its trials: mean,
#: and standard deviation, whose square grows with the number of doublings.
DOUBLING, DEVIATION = 0.05, 0.095
#: Standard deviation of how much the fastest programs differ when they are timed again.
AGAIN = 0.03
#: How many standard deviations wide an interval is to either side: nine of ten lie in it.
_WIDE = 1.645
#: The logarithm of how much faster the first trials of a task are than its untuned program, where
#: no task has shown it: mean, and standard deviation.
_FIRST, _FIRST_DEVIATION = 1.5, 0.8


@dataclass(frozen=True)
class Standing:
    """How far one task is.

    Attributes:
        weight: how often it runs in the network.
        latency_s: of its best program so far, seconds; untuned, as far as known, before a trial.
        trials: how many it had.
    """

    weight: int
    latency_s: float
    trials: int


@dataclass(frozen=True)
class Forecast:
    """What more trials are expected to bring.

    Attributes:
        now_s: latency of the network, or the operator, so far, seconds.
        trials: how many more there will be.
        seconds: what these are expected to take.
        later_s: the latency after them, expected.
        low_s: of 20 such latencies one is below.
        high_s: of 20 such latencies one is above.
    """

    now_s: float
    trials: int
    seconds: float
    later_s: float
    low_s: float
    high_s: float

    @property
    def gain(self) -> float:
        """Share of the latency that is expected to go."""
        return 1 - self.later_s / self.now_s

    def __str__(self) -> str:
        spread = (self.high_s - self.low_s) / 2
        return (
            f"now {seconds(self.now_s)}; {self.trials} more trials, {seconds(self.seconds)}: "
            f"{seconds(self.later_s)} ± {seconds(spread)}"
        )


def forecast(
    standings: Sequence[Standing], trials: int, duration_s: float, first: float = _FIRST
) -> Forecast:
    """The forecast for so many more trials.

    Args:
        standings: of all tasks, at least one of which has a latency above 0.
        trials: how many more, all tasks together.
        duration_s: what they are expected to take, seconds.
        first: logarithm of how much faster a task's first trials are than its untuned program.
    """
    now = [task.weight * task.latency_s for task in standings]
    later, variance = 0.0, (AGAIN * sum(now)) ** 2
    for task, time_s, more in zip(standings, now, allotted(standings, trials), strict=True):
        gain, deviation = _gain(task.trials, more, first)
        left_s = time_s * math.exp(-gain)
        later += left_s
        variance += (left_s * deviation) ** 2
    spread = _WIDE * math.sqrt(variance) / later
    low, high = later * math.exp(-spread), later * math.exp(spread)
    return Forecast(sum(now), trials, duration_s, later, low, high)


def allotted(standings: Sequence[Standing], trials: int) -> list[float]:
    """How many of `trials` each task is expected to get.

    As a doubling brings every task the same share of its time, each should have trials in
    proportion to its time; a task that has more than that gets none.
    """
    time = [task.weight * task.latency_s for task in standings]
    more = [0.0] * len(standings)
    if trials <= 0:
        return more
    open_to = [k for k, each in enumerate(time) if each > 0]
    while True:
        total = trials + sum(standings[k].trials for k in open_to)
        a_second = total / sum(time[k] for k in open_to)
        above = {k for k in open_to if standings[k].trials > a_second * time[k]}
        if not above:
            break
        open_to = [k for k in open_to if k not in above]
    for k in open_to:
        more[k] = a_second * time[k] - standings[k].trials
    return more


def _gain(trials: int, more: float, first: float) -> tuple[float, float]:
    """What `more` trials after `trials` bring to the logarithm of throughput, and its deviation."""
    if more <= 0:
        return 0.0, 0.0
    doublings = math.log2((trials + more) / trials) if trials else math.log2(max(more, 1.0))
    gain, variance = DOUBLING * doublings, DEVIATION**2 * doublings
    if not trials:
        share = min(more, 1.0)
        gain, variance = share * (first + gain), variance + (share * _FIRST_DEVIATION) ** 2
    return gain, math.sqrt(variance)
