"""What share of T_max the best measured program of a task reaches: section 3.3 overestimates it.

Labels are y = T / T_max with the best throughput *measured so far* as T_max, so the best of a few
labels counts as 1, however slow it is. A model that has not seen the task knows better how good
its labelled programs are: either the model of another device, or a forest of the *other* tasks.
The task's labels are multiplied by the factor that brings them closest to what that model expects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balto.data.features import FeatureTable
from balto.models.base import CostModel
from balto.models.xgb import XGB, binned

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TMaxEstimator:
    """Estimates, for every task, the share of T_max that its best measured program reaches.

    Not from the paper, which recomputes T_max from what is measured and nothing else.

    Attributes:
        trusted: from this many labels on, the best measured program of a task counts as its best.
        folds: groups that the tasks are split into; each is judged by a forest of the other groups.
        least: square root of the smallest share that is estimated.
    """

    trusted: int = 50
    folds: int = 3
    least: float = 0.1

    def shares(
        self,
        features: FeatureTable,
        labels: Floats,
        task: NDArray[np.int32],
        names: Sequence[str],
        seed: int,
        start_from: CostModel | None = None,
    ) -> Floats:
        """The share of each program's task, `n`; a label times its share is on the scale of T_max.

        Args:
            features: of the `n` labelled programs.
            labels: `n`, relative to the best measured of their tasks, in (0, 1].
            task: `n`.
            names: feature sets that the judging forest reads.
            seed: of that forest.
            start_from: a fitted model of another device, which judges in the place of the forest.

        Returns:
            `n`, in (0, 1].
        """
        tasks, group, counts = np.unique(task, return_inverse=True, return_counts=True)
        few = (counts < self.trusted)[group]
        roots = np.sqrt(labels)
        expected = roots.copy()
        if start_from is not None:
            scores = start_from.to_relative_throughput(start_from.predict(features), task)
            expected[few] = np.sqrt(scores[few])
        elif few.any() and len(tasks) > 1:
            self._expect_by_others(expected, features, roots, group, few, names, seed)
        products = np.bincount(group, weights=expected * roots, minlength=len(tasks))
        factor = products / np.bincount(group, weights=labels, minlength=len(tasks))
        return np.asarray(np.clip(factor, self.least, 1.0)[group] ** 2, dtype=np.float64)

    def _expect_by_others(
        self,
        expected: Floats,
        features: FeatureTable,
        roots: Floats,
        group: NDArray[np.int64],
        few: NDArray[np.bool_],
        names: Sequence[str],
        seed: int,
    ) -> None:
        """Set `expected` for tasks with few labels, to what a forest of other tasks predicts."""
        forest = XGB(seed, features=tuple(names))
        bins, codes = binned(features, names, forest.settings.max_bins)
        for fold in range(self.folds):
            inside = group % self.folds == fold
            asked, others = np.flatnonzero(inside & few), np.flatnonzero(~inside)
            if len(asked) and len(others):
                forest.fit_roots(bins, codes[others], roots[others])
                expected[asked] = np.maximum(forest.predict_roots(features.take(asked)), 0)
