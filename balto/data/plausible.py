"""What a measurement can say: the bounds of latencies and FLOP, for devices and for files alike.

A device whose clock or driver is broken answers NaN, -1 or 1e-30 s, and a file may hold anything.
One label of 1e-30 s would make all others of its task 0. `docs/pool-format.md` tells these bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.text import quoted

#: No run takes less, seconds: one tick of the finest clocks, some cycles of a processor.
LEAST_LATENCY_S = 1e-9
#: No run takes more, seconds: a day and a bit.
LARGEST_LATENCY_S = 1e5
#: No device does more floating-point operations a second: ten times what the fastest of 2025 do
#: with numbers of four bits.
MOST_FLOP_PER_S = 1e17
#: No run has more floating-point operations; what no device could do in `LARGEST_LATENCY_S`.
MOST_FLOP = MOST_FLOP_PER_S * LARGEST_LATENCY_S
#: No array has more numbers, four terabytes of them, and no operator more steps of its loops.
MOST_NUMBERS, MOST_STEPS = 10**12, 10**15
#: No feature of a program is larger: most are logarithms of counts. No number of a model file that
#: a prediction adds up is larger: labels are from 0 to 1, and its square must be a number too.
LARGEST_FEATURE, LARGEST_WEIGHT = 1e30, 1e9
#: The median of the repeats may be so much less than the smallest, for numbers that were rounded.
_ROUNDED = 1e-6

#: How the message of an outcome ends whose device nothing is timed on any more.
LEFT_OUT = "is left out from now on"

Floats = NDArray[np.float64]


def plausible(outcome: Outcome, flop: float = math.nan) -> Outcome:
    """An outcome as it is; if its latency cannot be, a ``run_error`` that names the device.

    Args:
        outcome: from a measurer or a journal.
        flop: floating-point operations of the program; NaN where unknown.
    """
    problem = _problem(outcome, flop)
    if not problem:
        return outcome
    who = f"the device {outcome.device}" if outcome.device else "the measurement"
    return replace(
        outcome,
        status=Status.RUN_ERROR,
        latency_s=math.nan,
        latency_median_s=math.nan,
        spread=math.nan,
        probe_s=math.nan,
        message=f"{who} gave {problem}",
    )


def _problem(outcome: Outcome, flop: float) -> str:
    """What cannot be of an outcome; empty if all can."""
    latency_s, median_s = outcome.latency_s, outcome.latency_median_s
    least = max(LEAST_LATENCY_S, 0.0 if math.isnan(flop) else flop / MOST_FLOP_PER_S)
    # Asked first, as nearly all are so: a journal may have a million of them.
    if outcome.ok and not least <= latency_s <= median_s <= LARGEST_LATENCY_S:
        numbers = np.array([[latency_s], [median_s]], float)
        found = first_implausible(numbers[0], numbers[1], np.array([flop]))
        if found is not None:
            return found[1]
    if math.isnan(outcome.probe_s) or LEAST_LATENCY_S <= outcome.probe_s <= LARGEST_LATENCY_S:
        return ""
    bounds = f"from {LEAST_LATENCY_S:g} to {LARGEST_LATENCY_S:g} s"
    return f"{outcome.probe_s:g} s for its probes, where {bounds} can be"


def first_implausible(latency_s: Floats, median_s: Floats, flop: Floats) -> tuple[int, str] | None:
    """The place of the first program whose latency cannot be, and what is wrong; None if all can.

    Args:
        latency_s: `n`, the smallest of each program's repeats, seconds.
        median_s: `n`, the median of its repeats.
        flop: `n`, floating-point operations of each; NaN where unknown.
    """
    least = np.fmax(LEAST_LATENCY_S, flop / MOST_FLOP_PER_S)
    outside = ~((latency_s >= least) & (latency_s <= LARGEST_LATENCY_S))
    unordered = ~((median_s >= latency_s * (1 - _ROUNDED)) & (median_s <= LARGEST_LATENCY_S))
    wrong = np.flatnonzero(outside | unordered)
    if not len(wrong):
        return None
    k = int(wrong[0])
    if outside[k]:
        bounds = f"from {least[k]:.3g} to {LARGEST_LATENCY_S:g} s"
        return k, f"a latency of {latency_s[k]:g} s, where {bounds} can be"
    bounds = f"from its smallest repeat, {latency_s[k]:g} s, to {LARGEST_LATENCY_S:g} s"
    return k, f"a median latency of {median_s[k]:g} s, where {bounds} can be"


def implausible_of(outcomes: Outcomes, flop: Floats) -> tuple[int, str] | None:
    """`first_implausible` of those programs that ran; the place is that among all programs.

    Args:
        outcomes: of `n` programs.
        flop: `n`, floating-point operations of each; NaN where unknown.
    """
    ran = np.flatnonzero(outcomes.ok)
    latency_s, median_s = (outcomes.numbers[n][ran] for n in ("latency_s", "latency_median_s"))
    found = first_implausible(latency_s, median_s, flop[ran])
    return None if found is None else (int(ran[found[0]]), found[1])


def flop_problem(flop: float) -> str:
    """What is wrong with a number of floating-point operations; empty for NaN, or if nothing is."""
    if math.isnan(flop) or 0 <= flop <= MOST_FLOP:
        return ""
    return f"expected FLOP from 0 to {MOST_FLOP:g}, got {flop:g}"


def shape_problem(shape: Iterable[int]) -> str:
    """What is wrong with the shape of an array; empty if nothing is."""
    sizes = list(shape)
    if all(type(n) is int and n >= 1 for n in sizes) and math.prod(sizes) <= MOST_NUMBERS:
        return ""
    expected = f"sizes from 1 that multiply to at most {MOST_NUMBERS:g}"
    return f"expected a shape of {expected}, got {quoted(sizes)}"
