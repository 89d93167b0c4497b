"""Which task of a network gets the next trials: the one from which most is expected.

The expected gain of a task is the share of its latency that the next trials may save, in seconds
of the network's run: weight times latency times the mean of what the last trials saved and of an
optimistic guess, which is 1 for a task never tried and falls with every slice that it had. The
shape is Ansor's task scheduler [Zheng2020]_, section 6, without its similarity of tasks.

Where each task has a favourite, which it gets without a trial, only what is gained over that
counts: a task never tried is expected to take what its favourite takes, and the slice that measures
the favourite saved what the model thinks is left to gain.

.. [Zheng2020]
    L. Zheng et al. Ansor: generating high-performance tensor programs for deep learning. OSDI 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

#: FLOP a second of an untuned program, where none has been timed yet.
_UNTUNED_RATE = 1e9
#: How much the last slice counts beside the optimistic guess.
_BACKWARD = 0.5


@dataclass
class Share:
    """What is known of one task.

    Attributes:
        weight: how often it runs in the network.
        flop: of one run.
        favourite: relative throughput, in (0, 1], that the model expects of its favourite program;
            None if it has none. The first slice measures that one.
        untuned_s: of the untuned program; NaN if it does not run, None before it was tried.
        best_s: smallest latency; infinity before there is one.
        saved: share of the latency that the last slice saved.
        slices: how many it had.
        dry: whether there is nothing left to measure.
        rate: FLOP a second of the best program there is, as the favourite's latency says.
    """

    weight: int
    flop: float
    untuned_s: float | None = None
    best_s: float = math.inf
    saved: float = 1.0
    slices: int = 0
    dry: bool = False
    favourite: float | None = None
    rate: float = math.nan

    def record(self, best_s: float) -> None:
        """A slice ended with this smallest latency."""
        before, self.best_s = self.latency_s, min(self.best_s, best_s)
        after = self.latency_s
        self.saved = 1 - after / before if math.isfinite(before) and before > 0 else 1.0
        if self.favourite is not None and not self.slices:
            self.saved, self.rate = 1 - self.favourite, self.flop / best_s / self.favourite
        self.slices += 1

    @property
    def latency_s(self) -> float:
        """As far as it is known; infinity where it is not."""
        untuned_s = math.nan if self.untuned_s is None else self.untuned_s
        return min(self.best_s, math.inf if math.isnan(untuned_s) else untuned_s)


def latencies(shares: Sequence[Share]) -> list[float]:
    """Seconds of one run of each task; by FLOP, at the rate of the others, if never timed.

    That of favourites, if the task has one, and as fast as that is expected to be.
    """
    untuned = _middle([s.flop / s.untuned_s for s in shares if s.untuned_s and s.untuned_s > 0])
    best = _middle([s.rate for s in shares if s.rate > 0])

    def expected_s(share: Share) -> float:
        rate = untuned if share.favourite is None else best * share.favourite
        return share.flop / rate

    return [s.latency_s if math.isfinite(s.latency_s) else expected_s(s) for s in shares]


def _middle(rates: list[float]) -> float:
    return sorted(rates)[len(rates) // 2] if rates else _UNTUNED_RATE


def network_s(shares: Sequence[Share]) -> float:
    """The latency of the network's tasks, seconds."""
    known = latencies(shares)
    return sum(share.weight * seconds for share, seconds in zip(shares, known, strict=True))


def share_of(shares: Sequence[Share], k: int) -> float:
    """The share of a task in the latency of the network's tasks."""
    whole_s = network_s(shares)
    return shares[k].weight * latencies(shares)[k] / whole_s if whole_s > 0 else 1.0


def next_task(shares: Sequence[Share]) -> int | None:
    """The task from which most is expected, the first of equal ones; None if all are dry."""
    best, gain = None, -1.0
    for k, (share, seconds) in enumerate(zip(shares, latencies(shares), strict=True)):
        saves = _BACKWARD * share.saved + (1 - _BACKWARD) / (share.slices + 1)
        expected = share.weight * seconds * saves
        if not share.dry and expected > gain:
            best, gain = k, expected
    return best


def next_untried(shares: Sequence[Share]) -> int | None:
    """The task that is the next to be tried for the first time; None if none is left."""
    tried = [replace(share, dry=share.dry or share.untuned_s is not None) for share in shares]
    return next_task(tried)
