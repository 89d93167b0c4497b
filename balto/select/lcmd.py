"""LCMD: largest-cluster maximum distance, in the kernel of a model ensemble.

.. [Holzmueller2023]
    D. Holzmueller, V. Zaverkin, J. Kaestner, I. Steinwart. A framework and benchmark for deep batch
    active learning for regression. JMLR 24:164, 2023.
.. [Kirsch2023]
    A. Kirsch. Black-box batch active learning for regression. arXiv 2302.08981, 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState
from balto.select.distance import Points


@dataclass(frozen=True)
class LCMD(Selector):
    """Picks the farthest program of the cluster with the largest sum of squared distances.

    Labelled and picked programs are the centres; every program belongs to the nearest one. With
    no labelled program the first pick is the one of the largest feature norm.

    This is LCMD-TP of [Holzmueller2023]_, in the kernel of [Kirsch2023]_: a program's features are
    its `K` ensemble predictions, centred over the members and divided by ``sqrt(K)``, whose inner
    products are the ensemble's predictive covariance.
    """

    name: ClassVar[str] = "lcmd"
    needs_ensemble: ClassVar[bool] = True

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        return largest_cluster_picks(ensemble_kernel(state.ensemble()), state.labelled, budget)


def ensemble_kernel(predictions: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Features `M x K` whose inner products are the covariance of `K x M` members' predictions."""
    centred = predictions - predictions.mean(axis=0)
    centred[:, (predictions == predictions[0]).all(axis=0)] = 0  # not what the mean's rounding left
    return np.asarray(centred / np.sqrt(len(predictions))).T


def largest_cluster_picks(
    features: NDArray[np.floating[Any]],
    centres: NDArray[np.int64],
    budget: int,
    weight: NDArray[np.floating[Any]] | float = 1.0,
) -> NDArray[np.int64]:
    """The LCMD rule on `M x d` features; ties go to the oldest centre and the lowest index.

    Args:
        features: of the `M` programs.
        centres: indices of the labelled programs.
        budget: how many to pick, no more than are unlabelled.
        weight: `M`, at least 0, of each program's squared distance to its centre.
    """
    points = Points.of(features)
    free = np.ones(len(features), dtype=bool)
    free[centres] = False
    nearest = np.full(len(features), np.inf)
    cluster = np.zeros(len(features), dtype=np.int64)
    for part, block in points.blocks(centres):
        closest = block.argmin(axis=1)
        distance = block[np.arange(len(features)), closest]
        nearer = distance < nearest
        nearest[nearer], cluster[nearer] = distance[nearer], closest[nearer] + part.start
    picks = np.empty(budget, dtype=np.int64)
    for b in range(budget):
        if b == 0 and not len(centres):
            norms = np.einsum("ij,ij->i", features, features)
            picks[b] = u = int(np.argmax(weight * norms))
        else:
            size = weight * nearest
            sizes = np.bincount(cluster[free], weights=size[free])
            held = np.bincount(cluster[free]) > 0
            largest = int(np.argmax(np.where(held, sizes, -np.inf)))
            inside = free & (cluster == largest)
            picks[b] = u = int(np.argmax(np.where(inside, size, -np.inf)))
        free[u] = False
        distance = points.squared_distances(picks[b : b + 1])[:, 0]
        nearer = distance < nearest
        nearest[nearer], cluster[nearer] = distance[nearer], len(centres) + b
    return picks
