"""GSy: diversity of predicted performance against measured labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState


@dataclass(frozen=True)
class GSy(Selector):
    """Picks ``argmax_n min_m |f(x_n) - y_m|``, m labelled; picks enter with their predictions.

    Differs from `output-diversity` in the labelled programs' y: measured here, predicted there.
    A program whose measurement failed has no y and keeps nothing away.

    Source: Wu, Lin and Huang, "Active learning for regression using greedy sampling", 2019.
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
