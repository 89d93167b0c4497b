"""GSx: diversity of the programs' features [Yu2010]_.

.. [Yu2010]
    H. Yu, S. Kim. Passive sampling for regression. ICDM 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState
from balto.select.distance import Points


@dataclass(frozen=True)
class GSx(Selector):
    """Farthest-first: picks ``argmax_n min_m ||x_n - x_m||``, m labelled or picked.

    The very first program is the one nearest to the centroid of the task. Needs no model.
    """

    name: ClassVar[str] = "gsx"
    needs_model: ClassVar[bool] = False

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        points = Points.of(state.features())
        if len(state.labelled):
            score = np.full(state.size, np.inf)
            for _, block in points.blocks(state.labelled):
                np.minimum(score, block.min(axis=1), out=score)
        else:
            score = -np.square(points.x - points.x.mean(axis=0)).sum(axis=1)
        score[state.labelled] = -np.inf
        picks = np.empty(budget, dtype=np.int64)
        for b in range(budget):
            picks[b] = np.argmax(score)
            distance = points.squared_distances(picks[b : b + 1])[:, 0]
            score = distance if b + len(state.labelled) == 0 else np.minimum(score, distance)
            score[state.labelled] = score[picks[: b + 1]] = -np.inf
        return picks
