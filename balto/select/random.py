"""Random selection: what every other selector must beat at the same budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState


@dataclass(frozen=True)
class Random(Selector):
    """Uniformly among the unlabelled programs, without replacement."""

    name: ClassVar[str] = "random"
    needs_model: ClassVar[bool] = False

    def choose(self, state: TaskState, budget: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """See the class."""
        return rng.permutation(state.unlabelled)[:budget]
