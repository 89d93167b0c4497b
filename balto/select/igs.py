"""iGS: diversity of features and of predicted performance at once [Wu2019]_.

.. [Wu2019]
    D. Wu, C. Lin, J. Huang. Active learning for regression using greedy sampling. Information
    Sciences 474, 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState
from balto.select.distance import Points


@dataclass(frozen=True)
class IGS(Selector):
    """Picks ``argmax_n min_m ||x_n - x_m|| |f(x_n) - y_m|``, m labelled.

    A picked program enters with its prediction. A program whose measurement failed has no y, and
    takes no part in the minimum; the minimum over no program is +inf.
    """

    name: ClassVar[str] = "igs"

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        f, points = state.scores(), Points.of(state.features())
        good = np.isfinite(state.labels)
        labelled, y = state.labelled[good], state.labels[good]
        score = np.full(state.size, np.inf)
        for part, block in points.blocks(labelled):
            product = np.sqrt(block) * np.abs(f[:, None] - y[part])
            np.minimum(score, product.min(axis=1), out=score)
        score[state.labelled] = -np.inf
        picks = np.empty(budget, dtype=np.int64)
        for b in range(budget):
            picks[b] = u = int(np.argmax(score))
            block = points.squared_distances(picks[b : b + 1])
            np.minimum(score, np.sqrt(block[:, 0]) * np.abs(f - f[u]), out=score)
            score[state.labelled] = score[picks[: b + 1]] = -np.inf
        return picks
