"""How often to run a program until its latency is known well enough *for its rank*.

A program near its task's best needs precision, because its order among the best matters; one that
is five times slower is known to be slow after one repeat. So repeats are taken until the 95 %
confidence interval of the latency is narrow for where the program stands, and no longer. A repeat
that looks disturbed is taken again, and is used only if there is no better one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from balto.arguments import check_field, check_type
from balto.data.plausible import LARGEST_LATENCY_S, LEAST_LATENCY_S
from balto.measure.noise import DisturbanceDetector

#: Half-width of a 95 % confidence interval of the mean of n values, in standard deviations of one.
_HALF_WIDTH = {2: 8.98, 3: 2.48, 4: 1.59, 5: 1.24, 6: 1.05, 7: 0.925, 8: 0.836, 9: 0.769, 10: 0.715}
#: The 97.5 % quantile of Student's t, for more values than those: about as for 20 of them.
_T_QUANTILE = 2.1

#: A first run this many times longer than a repeat needs to be is a repeat: what warming up
#: costs does not show in it.
_LONG = 10

#: When the core slows the fixed kernel by a factor f, programs slow by about f ** .6. Measured on a
#: shared Zen 3: powers of .55 to .6 for matrix products and convolutions, .7 for depthwise
#: convolutions, 1 for a softmax.
_SENSITIVITY = 0.6


@dataclass(frozen=True, kw_only=True)
class TimingSettings:
    """How a program is timed.

    Attributes:
        min_repeat_s: a repeat runs the program often enough to take this long.
        min_repeats: undisturbed repeats of a program that competes with the best of its task.
        max_repeats: no more repeats than these, disturbed ones included.
        precision: half-width of the confidence interval to reach, relative to the latency, for a
            program as fast as the best; one that is `r` times slower may be `r` times vaguer.
        slow: a program this many times slower than the best so far needs one repeat.
        patience_s: how long a program may wait until its core is undisturbed.
        flush_cache: empty the caches before every run.

    Raises:
        InputError: If a value is of the wrong type or out of its range.
    """

    min_repeat_s: float = 0.003
    min_repeats: int = 3
    max_repeats: int = 10
    precision: float = 0.01
    slow: float = 3.0
    patience_s: float = 0.1
    flush_cache: bool = False

    def __post_init__(self) -> None:
        check_field(self, "min_repeats", 1, whole=True)
        check_field(self, "max_repeats", self.min_repeats, whole=True)
        check_field(self, "min_repeat_s", 1e-9)
        check_field(self, "precision", 1e-9)
        check_field(self, "slow", 1)
        check_field(self, "patience_s", 0)
        check_type("flush_cache", self.flush_cache, bool, "True or False")


@dataclass(frozen=True)
class Timing:
    """What timing gave, as in `Outcome`."""

    latency_s: float
    latency_median_s: float
    repeats: int
    spread: float


def time_program(
    repeat: Callable[[int], float],
    settings: TimingSettings,
    detector: DisturbanceDetector | None,
    best_s: float = math.inf,
) -> Timing:
    """Time a program.

    Args:
        repeat: runs the program so many times and returns the seconds of one run.
        settings: how precisely.
        detector: tells whether the core is disturbed; None where that cannot be seen from here.
        best_s: the smallest latency of its task so far; infinity if it is the first.

    Returns:
        What was timed. A repeat whose seconds cannot be (NaN, below 0, 1e-30) ends it and is given
        as it came: `balto.data.plausible` says what becomes of it.
    """
    good: list[float] = []
    disturbed: list[float] = []
    patience = settings.patience_s
    number, warm = 1, False
    while len(good) + len(disturbed) < settings.max_repeats:
        patience -= detector.wait(patience) if detector else 0.0
        started = time.perf_counter()
        seconds = repeat(number)
        coarse = seconds == 0  # one run may be less than a tick
        if not (coarse or LEAST_LATENCY_S <= seconds <= LARGEST_LATENCY_S):
            return Timing(seconds, seconds, 1, math.nan)
        if not warm:  # page faults, cold caches and lazy initialisation are in the first run
            warm = True
            if seconds < _LONG * settings.min_repeat_s:
                once = repeat(1) if seconds < settings.min_repeat_s else seconds
                number = max(1, math.ceil(settings.min_repeat_s / max(once, 1e-9)))
                continue
        if detector is None or detector.undisturbed():
            good.append(seconds)
            if _known(good, settings, best_s):
                break
        else:
            disturbed.append(seconds / detector.slowdown**_SENSITIVITY)
            patience -= time.perf_counter() - started
            if patience <= 0 and (
                len(good) + len(disturbed) >= settings.min_repeats
                or min(good + disturbed) > settings.slow * best_s
            ):
                break
    return _summary(good or disturbed)


def _known(samples: list[float], settings: TimingSettings, best_s: float) -> bool:
    """Whether the latency is known well enough for its rank."""
    behind = max(1.0, min(samples) / best_s) if math.isfinite(best_s) else 1.0
    if behind > settings.slow:
        return True
    if len(samples) < settings.min_repeats:
        return False
    deviation = float(np.std(samples, ddof=1)) if len(samples) > 1 else math.inf
    half = _HALF_WIDTH.get(len(samples), _T_QUANTILE / math.sqrt(len(samples))) * deviation
    return half <= settings.precision * behind * float(np.mean(samples))


def _summary(samples: list[float]) -> Timing:
    low, middle, high = np.quantile(samples, [0.25, 0.5, 0.75])
    spread = float((high - low) / middle) if len(samples) > 1 else math.nan
    return Timing(float(min(samples)), float(middle), len(samples), spread)
