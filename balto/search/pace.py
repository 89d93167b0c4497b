"""How many trials a search will have: as many as were asked for, or as fit in its minutes.

The clock is looked at before each batch. What it says is journalled: it is no choice of the seed,
so a search that is run again is told the same, and goes on with the time that was left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from time import perf_counter as now
from typing import Any

from balto.arguments import MOST_TRIALS
from balto.journal.file import Journal
from balto.search.records import CLOCK

#: What a trial is taken to cost before there was one, seconds, and how many such trials weigh as
#: much as that.
_TRIAL_S, _AS_TRIALS = 0.7, 4
#: Seconds that are kept for timing the fastest programs of a task again, but no more than this
#: share of all.
_FINISH_S, _FINISH_SHARE = 2.0, 0.2
#: Trials that there are however long it took to begin: without one nothing is found.
_LEAST = 4
#: A search is saturated when the next so many seconds are expected to save less than this share.
NEXT_S, LEAST_GAIN = 60.0, 0.01


class Clock:
    """Seconds that a search has used, all of its runs together.

    Args:
        journal: keeps every look; None to keep nothing.
        records: what it held.
    """

    def __init__(self, journal: Journal | None, records: Iterable[Mapping[str, Any]]) -> None:
        self._journal = journal
        self._known = [float(r["spent_s"]) for r in records if r.get("kind") == CLOCK][::-1]
        self._spent_s, self._since = 0.0, now()

    def look(self) -> float:
        """Seconds used so far, from the journal where this look is known."""
        since, self._since = self._since, now()
        if self._known:
            self._spent_s = self._known.pop()
        else:
            self._spent_s += self._since - since
            if self._journal is not None:
                self._journal.append({"kind": CLOCK, "spent_s": self._spent_s})
        return self._spent_s


class Pace:
    """How many trials a search will have, as far as is known.

    Args:
        trials: at most; of each part.
        minutes: for all parts together; None for no such limit.
        until_saturated: whether to stop when the next minute is expected to save less than 1 %.
        journal: keeps what the clock says; None to keep nothing.
        records: what the journal held.
    """

    def __init__(
        self,
        trials: int = MOST_TRIALS,
        minutes: float | None = None,
        until_saturated: bool = False,
        journal: Journal | None = None,
        records: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.most = trials
        self.timed = minutes is not None or until_saturated
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._until_saturated = until_saturated
        self._clock = Clock(journal, records) if self.timed else Clock(None, ())
        self._saturated = False
        self._began = self._spent = self._until = 0.0
        self._trials = 0
        self.begin()

    @classmethod
    def of(cls, trials: int | Pace) -> Pace:
        """A number of trials as a pace.

        Args:
            trials: how many; a pace is returned as it is.

        Returns:
            A pace with no limit but that one.
        """
        return trials if isinstance(trials, Pace) else cls(trials)

    def begin(self, tasks: int = 1, parts: int = 1) -> None:
        """Begin a part: an operator, or a network.

        Args:
            tasks: of this part.
            parts: that are left, this one included; each gets the same share of what time is left.
        """
        self._saturated, self._trials = False, 0
        self._began = self._spent
        left = (self._seconds - self._spent) / parts
        self._until = self._spent + left - min(_FINISH_S * tasks, _FINISH_SHARE * left)

    @property
    def trial_s(self) -> float:
        """Seconds that a trial takes, thinking included."""
        spent = self._spent - self._began
        return (_AS_TRIALS * _TRIAL_S + spent) / (_AS_TRIALS + self._trials)

    @property
    def expected(self) -> int:
        """How many trials are expected now, without a look at the clock."""
        return int(min(self.most, self._trials + (self._until - self._spent) / self.trial_s))

    def trials(self, measured: int) -> int:
        """How many trials this part will have; the clock is looked at.

        Args:
            measured: how many it had.

        Returns:
            The number for the whole part, at least 1; `measured` when it is over.
        """
        self._spent, self._trials = self._clock.look(), measured
        if not self.timed:
            return self.most
        if self._saturated:
            return measured
        return max(measured or min(_LEAST, self.most), self.expected)

    def expect(self, gain: float) -> None:
        """Take note of what the next `NEXT_S` seconds are expected to save.

        Args:
            gain: share of the latency, in [0, 1].
        """
        self._saturated = self._until_saturated and gain < LEAST_GAIN
