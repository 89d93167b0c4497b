"""The fastest programs are timed again, in turns, before one of them is named the best.

On a machine that others use, a program is now and then measured when it is slow, for seconds; the
fastest of many trials is also the one whose errors were the luckiest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from balto.data.outcome import Outcome

#: How often each is timed again, at most.
ROUNDS = 2
#: One program of so many trials, but no more than these. More of them, in more turns, found nothing
#: faster for the time they took.
_TRIALS_A_FINALIST, _MOST = 3, 6
#: A program so many times slower than the fastest of them is out.
_BEHIND = 1.15


def finalists(outcomes: Sequence[Outcome], trials: int, turn: int) -> list[int]:
    """Which programs are timed in a turn, the fastest first; none if one is ahead alone.

    Args:
        outcomes: of each program that was in the turn before, as `settled` has it.
        trials: how many there were in all.
        turn: counted from 1; from the second one on, only those near the fastest stay.
    """
    count = min(_MOST, trials // _TRIALS_A_FINALIST)
    seconds = {k: o.latency_median_s for k, o in enumerate(outcomes) if o.ok}
    ranked = sorted(seconds, key=lambda k: (seconds[k], k))[:count]
    if turn > 1:
        ranked = [k for k in ranked if seconds[k] <= _BEHIND * seconds[ranked[0]]]
    return ranked if len(ranked) > 1 else []


def settled(outcomes: Sequence[Outcome]) -> Outcome:
    """What several measurements of one program say: the median, the lower one of two."""
    ok = sorted((each for each in outcomes if each.ok), key=lambda each: each.latency_median_s)
    return ok[(len(ok) - 1) // 2] if ok else outcomes[0]


def running_best(latency_s: Sequence[float]) -> list[float]:
    """Smallest latency after each trial; NaN is a failure, infinity is before any success."""
    best, found = math.inf, []
    for seconds in latency_s:
        best = best if math.isnan(seconds) else min(best, seconds)
        found.append(best)
    return found
