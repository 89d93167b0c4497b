"""Means with 95 % intervals: a bootstrap over tasks and seeds, paired between schemes.

A result is a `Ratio` of ``S x K`` arrays, S seeds by K tasks: the mean over seeds of
sum(numerator) / sum(denominator) over tasks. A plain mean over tasks has ones below; TenSet's
Top-k of a network has weighted latencies in both places. The random numbers that draw tasks and
seeds come from the name of what the tasks are of: they are the same for every scheme, so that the
interval of a difference is of the paired difference, and whatever the order of the pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

DRAWS = 2000


@dataclass(frozen=True)
class Ratio:
    """``S x K`` each; 0 in both places where a task was not judged. `of` names the tasks."""

    of: str
    numerator: np.ndarray
    denominator: np.ndarray

    @classmethod
    def mean(cls, of: str, values: Sequence[np.ndarray]) -> Ratio:
        """The mean over tasks of one array of `K` values a seed; NaN where not judged."""
        table = np.array(values, dtype=float)
        return cls(of, np.nan_to_num(table), np.isfinite(table).astype(float))

    @classmethod
    def network(
        cls,
        of: str,
        best_s: Sequence[np.ndarray],
        chosen_s: Sequence[np.ndarray],
        weight: np.ndarray,
    ) -> Ratio:
        """TenSet's Top-k: sum of w x best latency, over sum of w x latency of what was chosen.

        One chosen program that failed has an infinite latency, and the network 0.
        """
        best = np.array(best_s, dtype=float)
        judged = np.isfinite(best)
        chosen = np.where(judged, np.array(chosen_s, dtype=float), 0.0)
        return cls(of, np.where(judged, best, 0.0) * weight, chosen * weight)

    def value(self) -> float:
        """The estimate."""
        below = self.denominator.sum(axis=1)
        judged = below > 0
        return float(np.mean(self.numerator.sum(axis=1)[judged] / below[judged]))

    def draws(self) -> np.ndarray:
        """`DRAWS` estimates from resampled tasks and seeds."""
        by_seed, by_task = resampled(self.of, *self.numerator.shape)
        # A failed choice counts only where its task was drawn: 0 x infinity is no answer.
        below = by_task @ np.where(np.isfinite(self.denominator), self.denominator, 0.0).T
        failed = by_task @ np.isinf(self.denominator).T.astype(float) > 0
        above = by_task @ self.numerator.T
        ratio = np.divide(above, below, out=np.zeros_like(above), where=(below > 0) & ~failed)
        by_seed = by_seed * ((below > 0) | failed)  # a draw of unjudged tasks alone says nothing
        total = by_seed.sum(axis=1)
        weighed = (ratio * by_seed).sum(axis=1)
        return np.asarray(np.divide(weighed, total, out=np.full(DRAWS, np.nan), where=total > 0))


def resampled(of: str, seeds: int, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """How much each seed and each task counts in each draw, ``DRAWS x S`` and ``DRAWS x K``."""
    rng = np.random.default_rng(crc32(of.encode()))
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
    return by_seed, rng.multinomial(tasks, np.full(tasks, 1 / tasks), DRAWS) / tasks


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_short(self.value)} [{_short(self.low)}, {_short(self.high)}]"

    @property
    def signed(self) -> str:
        """A difference, with its sign."""
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]".replace("0.", ".")


def estimate(pools: Sequence[Ratio]) -> Estimate:
    """The mean over pools; each pool's tasks and seeds are resampled apart."""
    return of_draws([p.value() for p in pools], [p.draws() for p in pools])


def difference(pools: Sequence[Ratio], other: Sequence[Ratio]) -> Estimate:
    """Of two schemes on the same pools, tasks and seeds, paired."""
    pairs = list(zip(pools, other, strict=True))
    return of_draws(
        [a.value() - b.value() for a, b in pairs],
        [a.draws() - b.draws() for a, b in pairs],
    )


def of_draws(values: Sequence[float], draws: Sequence[np.ndarray]) -> Estimate:
    """The mean of some values, and its interval from the draws of each."""
    low, high = np.nanquantile(np.mean(draws, axis=0), [0.025, 0.975])
    return Estimate(float(np.mean(values)), float(low), float(high))


def _short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.3f}"
