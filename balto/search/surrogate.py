"""What a search believes of programs: a trained forest, set right by the trials.

A Gaussian process on the logarithm of throughput. Its mean is what the forest predicts; its
covariance says of two programs how far what the forest gets wrong of one holds for the other, by
the share of trees in which both fall into the same leaf [Davies2014]_. The next trials are those of
the largest expected improvement [Jones1998]_, chosen one by one as if the ones before had come out
as expected [Ginsbourger2010]_: a near-copy of a chosen program promises nothing more.

.. [Davies2014]
    A. Davies, Z. Ghahramani. The random forest kernel and other kernels for big data from random
    partitions. arXiv 1402.4293, 2014.
.. [Ginsbourger2010]
    D. Ginsbourger, R. Le Riche, L. Carraro. Kriging is well-suited to parallelize optimization.
    Computational Intelligence in Expensive Optimization Problems, 2010.
.. [Jones1998]
    D. Jones, M. Schonlau, W. Welch. Efficient global optimization of expensive black-box functions.
    Journal of Global Optimization 13, 1998.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.compiled import jit
from balto.data.features import FeatureTable
from balto.models.xgb import XGB

Floats = NDArray[np.float64]

#: Standard deviation of the forest's error in the logarithm of throughput, for programs that it
#: takes to be fast, of a task that it has not seen. Measured by experiments/leaves.py, which also
#: says that the errors of two programs are less correlated than the share of leaves that they have
#: in common. The share is used all the same: searches with it found faster programs.
ERROR = 0.4
#: Standard deviation of how fast a whole task is, which no forest says: y has no unit.
LEVEL = 2.0
#: Standard deviation of a timing.
NOISE = 0.03
#: Smallest relative throughput that a model is taken to mean.
LEAST = 0.02
#: Programs among which trials are chosen, the most promising ones; trials that are learnt from, the
#: task's own rather than others', the latest.
_CANDIDATES, _TRIALS = 256, 512


@dataclass(frozen=True, eq=False)
class Judged:
    """What the forest says of `n` programs.

    Attributes:
        leaves: ``n x trees``, the leaf of each tree into which each program falls.
        expected: `n`, logarithm of predicted relative throughput.
    """

    leaves: NDArray[np.uint16]
    expected: Floats

    def __len__(self) -> int:
        return len(self.expected)

    def take(self, programs: NDArray[np.int64]) -> Judged:
        """Some of them."""
        return Judged(self.leaves[programs], self.expected[programs])

    @classmethod
    def concatenate(cls, parts: Sequence[Judged]) -> Judged:
        """All of them, in order."""
        leaves = np.concatenate([part.leaves for part in parts])
        return cls(leaves, np.concatenate([part.expected for part in parts]))


class Belief:
    """Learns from the trials of any number of tasks, and chooses the next ones of each.

    Args:
        forest: a fitted model.
    """

    def __init__(self, forest: XGB) -> None:
        self._forest = forest
        self._tasks: dict[Hashable, int] = {}
        self._trials: list[tuple[int, Judged, Floats]] = []  # task, programs, log throughput

    def judge(self, features: FeatureTable) -> Judged:
        """What the forest says of `n` programs."""
        said = np.maximum(self._forest.predict(features), LEAST)
        return Judged(self._forest.leaves(features), np.log(said))

    def learn(self, task: Hashable, programs: Judged, latency_s: Floats) -> None:
        """Take in trials of a task.

        Args:
            task: says which trials share a level.
            programs: `n`.
            latency_s: `n`, seconds; NaN for a failure, of which nothing is learnt.
        """
        worked = np.flatnonzero(np.isfinite(latency_s))
        if len(worked):
            number = self._tasks.setdefault(task, len(self._tasks))
            self._trials.append((number, programs.take(worked), -np.log(latency_s[worked])))

    def expect(self, task: Hashable, programs: Judged) -> Floats:
        """Logarithm of the throughput that `n` programs of a task are expected to have.

        Of programs a second; while the task has no trial, of a unit of its own.
        """
        return self._posterior(task, programs)[0]

    def choose(
        self, task: Hashable, programs: Judged, count: int, seconds: Floats | None = None
    ) -> NDArray[np.int64]:
        """The programs of `n` to try next, at most `count`, by expected improvement.

        Args:
            task: of them.
            programs: `n`.
            count: how many.
            seconds: `n`, what trying each is expected to take: improvement a second counts then.
        """
        mean, explained = self._posterior(task, programs)
        likely = np.argsort(-mean, kind="stable")[:_CANDIDATES]
        mean, leaves = mean[likely], programs.leaves[likely]
        covariance, best = _covariance(leaves, leaves), mean.max(initial=-math.inf)
        if task in self._tasks:
            number = self._tasks[task]
            best = max(float(y.max()) for of, _, y in self._trials if of == number)
            covariance += LEVEL**2
        count = min(count, len(likely))
        cost = np.ones(len(likely)) if seconds is None else seconds[likely]
        found = _improving(mean, covariance, explained[:, likely], best, cost, count)
        return np.asarray(likely[found])

    def _posterior(self, task: Hashable, programs: Judged) -> tuple[Floats, Floats]:
        """Mean, `n`; and ``t x n`` whose sums of squares are what `t` trials take off variances."""
        number = self._tasks.get(task)
        # Stable: the task's own trials come last, and all in their order.
        last = sorted(self._trials, key=lambda trial: trial[0] == number)
        if not last:
            return programs.expected, np.empty((0, len(programs)))
        of = np.concatenate([np.full(len(y), task) for task, _, y in last])[-_TRIALS:]
        trials = Judged.concatenate([each for _, each, _ in last])
        trials = trials.take(np.arange(len(trials))[-_TRIALS:])
        wrong = np.concatenate([y for *_, y in last])[-_TRIALS:] - trials.expected
        level = np.bincount(of, wrong) / np.maximum(np.bincount(of), 1)
        within = _covariance(trials.leaves, trials.leaves) + LEVEL**2 * (of[:, None] == of)
        within[np.diag_indices(len(of))] += NOISE**2
        across = _covariance(trials.leaves, programs.leaves) + LEVEL**2 * (of == number)[:, None]
        right = np.concatenate([across, (wrong - level[of])[:, None]], axis=1)
        solved = _forward(_cholesky(within), right)
        explained, residual = np.ascontiguousarray(solved[:, :-1]), solved[:, -1]
        mean = programs.expected + _product(explained, residual)
        return mean if number is None else mean + level[number], explained


def _covariance(leaves: NDArray[np.uint16], others: NDArray[np.uint16]) -> Floats:
    """Of what a forest gets wrong of `n` and of `m` programs: ``n x m``."""
    found = np.empty((len(leaves), len(others)))
    _common(leaves, others, found)
    return np.asarray(ERROR**2 * found / leaves.shape[1])


@jit
def _common(leaves: Any, others: Any, found: Any) -> None:
    """In how many trees each of `n` programs falls into the leaf of each of `m`."""
    for i in range(len(leaves)):
        for j in range(len(others)):
            same = 0
            for t in range(leaves.shape[1]):
                same += leaves[i, t] == others[j, t]
            found[i, j] = same


# Plain loops, where a library's sums would depend on its threads: a seed fixes what is chosen.
@jit
def _cholesky(matrix: Any) -> Any:
    """The lower factor of a positive definite matrix."""
    size = len(matrix)
    lower = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i, j]
            for k in range(j):
                rest -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(rest) if i == j else rest / lower[j, j]
    return lower


@jit
def _forward(lower: Any, right: Any) -> Any:
    """``lower x = right``, for all columns of `right`."""
    solved = right.copy()
    for i in range(len(lower)):
        for k in range(i):
            for c in range(right.shape[1]):
                solved[i, c] -= lower[i, k] * solved[k, c]
        for c in range(right.shape[1]):
            solved[i, c] /= lower[i, i]
    return solved


@jit
def _product(explained: Any, residual: Any) -> Any:
    """``explained' residual``."""
    total = np.zeros(explained.shape[1])
    for k in range(len(residual)):
        for c in range(len(total)):
            total[c] += explained[k, c] * residual[k]
    return total


@jit
def _improving(mean: Any, covariance: Any, explained: Any, best: Any, cost: Any, count: Any) -> Any:
    """Places of the largest expected improvements for their cost, one by one; ties go to the first.

    Args:
        mean: `n`.
        covariance: ``n x n``, before any trial.
        explained: ``t x n``, of the trials.
        best: what is to be improved on.
        cost: `n`, above 0.
        count: how many.
    """
    size = len(mean)
    variance = np.empty(size)
    for c in range(size):
        variance[c] = covariance[c, c]
        for k in range(len(explained)):
            variance[c] -= explained[k, c] ** 2
    free = np.ones(size, np.bool_)
    rows = np.empty((count, size))  # what the chosen ones explain
    chosen = np.empty(count, np.int64)
    for b in range(count):
        found, most = -1, -1.0
        for c in range(size):
            if free[c]:
                deviation = math.sqrt(max(variance[c], 1e-8))
                z = (mean[c] - best) / deviation
                below = 0.5 * math.erfc(-z / math.sqrt(2.0))
                density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
                improvement = deviation * (z * below + density) / cost[c]
                if improvement > most:
                    found, most = c, improvement
        chosen[b], free[found] = found, False
        scale = math.sqrt(max(variance[found], 1e-8) + NOISE**2)
        for c in range(size):
            rest = covariance[found, c]
            for k in range(len(explained)):
                rest -= explained[k, found] * explained[k, c]
            for k in range(b):
                rest -= rows[k, found] * rows[k, c]
            rows[b, c] = rest / scale
        for c in range(size):
            variance[c] -= rows[b, c] ** 2
    return chosen
