"""GSy: diversity of predicted performance against measured labels [Wu2019]_.

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


@dataclass(frozen=True)
class GSy(Selector):
    """Picks ``argmax_n min_m |f(x_n) - y_m|``, m labelled; picks enter with their predictions.

    `output-diversity` takes the predictions of the labelled programs where this takes their
    measured y. A program whose measurement failed has no y, and takes no part in the minimum.
    """

    name: ClassVar[str] = "gsy"

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        from balto.select.farthest_first import farthest_first

        y = state.labels[np.isfinite(state.labels)]
        return farthest_first(state.scores(), state.labelled, budget, biased=False, references=y)
