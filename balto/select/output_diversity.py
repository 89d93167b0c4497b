"""Algorithm 1 on the predicted performance: the paper's output diversity (Ours1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState


@dataclass(frozen=True)
class OutputDiversity(Selector):
    """Picks ``argmax_i min_j |f(x_i) - f(x_j)|``, j over the labelled and the picked programs.

    Algorithm 1 with `d_out` of section 3.3. Programs whose measurement failed are labelled too.
    """

    name: ClassVar[str] = "output-diversity"

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        from balto.select.farthest_first import farthest_first

        return farthest_first(state.scores(), state.labelled, budget, biased=False)
