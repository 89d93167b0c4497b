"""Algorithm 2: the paper's biased diversity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState


@dataclass(frozen=True)
class BiasedDiversity(Selector):
    """Picks ``argmax_i f(x_i) min_j |f(x_i) - f(x_j)|``, j over the labelled and picked programs.

    Algorithm 2, line 3. Programs whose measurement failed are labelled too.
    """

    name: ClassVar[str] = "biased-diversity"

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        from balto.select.farthest_first import farthest_first

        return farthest_first(state.scores(), state.labelled, budget, biased=True)
