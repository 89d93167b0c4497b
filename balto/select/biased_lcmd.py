"""LCMD among the likely fast: the paper's bias in the place of its distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_field
from balto.select.base import Selector, TaskState
from balto.select.lcmd import ensemble_kernel, largest_cluster_picks


@dataclass(frozen=True)
class BiasedLCMD(Selector):
    """LCMD in which each distance is multiplied by the predicted performance f of the program.

    Algorithm 2 (section 3.3) measures distances between predictions, so that two programs with the
    same prediction are the same to it, however different they are. LCMD measures distances between
    the judgements of an ensemble's members, and picks from every region, but from regions of slow
    programs too. Here both the size of a cluster and the choice within it go by
    ``(f_i |x_i - x_centre|)^2``: a region counts by how much is unknown about its fast programs.

    Where seconds are the budget, the weight is divided by those of the program: what a label
    teaches in a second.

    Not from the paper; `docs/notes/selection-study.md` has its ablation.

    Attributes:
        power: of f, in the weight of a squared distance; 0 is LCMD.
    """

    name: ClassVar[str] = "biased-lcmd"
    needs_ensemble: ClassVar[bool] = True
    power: float = 2.0

    def __post_init__(self) -> None:
        check_field(self, "power", 0)

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        weight = np.maximum(state.scores().astype(np.float64), 0) ** self.power
        if state.cost is not None:
            weight = weight / state.cost
        kernel = ensemble_kernel(state.ensemble())
        return largest_cluster_picks(kernel, state.labelled, budget, weight)
