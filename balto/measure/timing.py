"""How often to run a program until its latency is known well enough *for its rank*.

A program near its task's best needs precision, because its order among the best matters; one that
is five times slower is known to be slow after a single run. So repeats are taken until the
confidence interval of the latency is narrow for where the program stands, and no longer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TimingSettings:
    """How a program is timed.

    Attributes:
        min_repeat_s: a repeat runs the program often enough to take this long.
        min_repeats: repeats of a program that competes with the best of its task.
        max_repeats: no more than these.
        precision: half-width of the 95 % confidence interval to reach, relative to the latency,
            for a program as fast as the best; a program `r` times slower may be `r` times vaguer.
        slow: a program this many times slower than the best so far is timed once.
    """

    min_repeat_s: float = 0.005
    min_repeats: int = 3
    max_repeats: int = 12
    precision: float = 0.01
    slow: float = 4.0


@dataclass(frozen=True)
class Timing:
    """What timing gave, as in `Outcome`."""

    latency_s: float
    latency_median_s: float
    repeats: int
    spread: float


def time_program(
    repeat: Callable[[int], float], settings: TimingSettings, best_s: float = math.inf
) -> Timing:
    """Time a program.

    Args:
        repeat: runs the program so many times and returns the seconds of one run.
        settings: how precisely.
        best_s: the smallest latency of its task so far; infinity if it is the first.
    """
    first = repeat(1)  # warm-up: page faults, caches, lazy initialisation
    if first > settings.slow * best_s and first > settings.min_repeat_s:
        again = repeat(1)
        return _summary([again] if again < first else [first])
    once = repeat(1)
    number = max(1, math.ceil(settings.min_repeat_s / max(once, 1e-9)))
    samples: list[float] = []
    while len(samples) < settings.max_repeats:
        samples.append(repeat(number))
        if len(samples) >= settings.min_repeats and _narrow(samples, settings, best_s):
            break
        if len(samples) == 1 and samples[0] > settings.slow * best_s:
            break
    return _summary(samples)


def _narrow(samples: list[float], settings: TimingSettings, best_s: float) -> bool:
    """Whether the confidence interval of the median is narrow enough for the program's rank."""
    x = np.sort(samples)
    width = float(x[-2] - x[0]) if len(x) > 3 else float(x[-1] - x[0])
    behind = max(1.0, float(x[0]) / best_s) if math.isfinite(best_s) else 1.0
    return width / math.sqrt(len(x)) <= 2 * settings.precision * behind * float(np.median(x))


def _summary(samples: list[float]) -> Timing:
    low, middle, high = np.quantile(samples, [0.25, 0.5, 0.75])
    spread = float((high - low) / middle) if len(samples) > 1 else math.nan
    return Timing(float(min(samples)), float(middle), len(samples), spread)


def now() -> float:
    """Seconds of a clock for differences."""
    return time.perf_counter()
