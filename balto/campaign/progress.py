"""How far a campaign is, how fast it goes and what is left, from its journal alone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balto.campaign.config import Config
from balto.campaign.facts import Facts
from balto.learn.split import held_out_count, total_budget

#: A pause between two measurements longer than this is no part of how fast they come, seconds.
PAUSE_S = 300.0
#: What a program is taken to cost before one was measured, seconds.
PROGRAM_S = 0.6
#: So many of the last measurements say how fast they come now.
RECENT = 500


@dataclass(frozen=True)
class Progress:
    """How far a campaign is.

    Attributes:
        tasks: how many there are to draw programs of; those drawn where that is not known.
        drawn: how many have programs.
        measured: programs measured.
        planned: programs that will have been measured in the end: an estimate while tasks are
            missing, at most so many if a second selector runs beside.
        rate: programs a second lately; NaN if not known.
        active_s: seconds from the first measurement to the last, without pauses.
        left_s: seconds until all are measured, at the rate of lately; NaN if not known.
        last: when the last was measured, seconds since 1970; NaN if not known.
    """

    tasks: int
    drawn: int
    measured: int
    planned: int
    rate: float
    active_s: float
    left_s: float
    last: float


def progress(config: Config, facts: Facts) -> Progress:
    """The progress that a journal tells of."""
    drawn = len(facts.programs)
    tasks = max(drawn, (facts.tasks or 0) - len(facts.left_out))
    planned = _planned(config, facts, tasks)
    measured = sum(facts.outcomes.counts().values())
    times = np.asarray(facts.times)
    rate = _rate(times[-RECENT:])
    left = 0 if facts.finished else max(0, planned - measured)
    return Progress(
        tasks=tasks,
        drawn=drawn,
        measured=measured,
        planned=measured if facts.finished else max(planned, measured),
        rate=rate,
        active_s=float(_gaps(times).sum()),
        left_s=left / rate if left else 0.0,
        last=float(times[-1]) if len(times) else math.nan,
    )


def _planned(config: Config, facts: Facts, tasks: int) -> int:
    """Held-out and selected programs of all tasks; one that is not drawn counts as a full one."""
    sizes = Counter(each.count for each in facts.programs.values())
    sizes[config.programs] += tasks - len(facts.programs)
    held_out = sum(held_out_count(size, config.test_share) * n for size, n in sizes.items())
    selectable = sum(size * n for size, n in sizes.items()) - held_out
    budget = _budget(config, facts, selectable) if selectable else 0
    shared = 0 if config.start_from else 1  # round 1 is random, and the same, for every selector
    beside = budget * (config.rounds - shared) // config.rounds if config.compare else 0
    return held_out + budget + beside


def _budget(config: Config, facts: Facts, selectable: int) -> int:
    """Programs that may be selected; of a budget of seconds, about as many as fit."""
    if config.budget_s is None:
        return total_budget(config.budget, selectable)
    each_s = (facts.outcomes.seconds + PROGRAM_S) / (len(facts.outcomes) + 1)
    return min(selectable, round(config.budget_s / each_s))


def _gaps(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds between measurements, without pauses."""
    gaps = np.diff(times)
    return gaps[(gaps >= 0) & (gaps < PAUSE_S)]


def _rate(times: NDArray[np.float64]) -> float:
    gaps = _gaps(times)
    seconds = float(gaps.sum())
    return len(gaps) / seconds if seconds else math.nan
