"""The paper's selector (Ours2): Algorithm 2 or Algorithm 1, by a switch on D_KL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balto.arguments import check_field
from balto.select.base import Selector, TaskState
from balto.select.biased_diversity import BiasedDiversity
from balto.select.output_diversity import OutputDiversity


@dataclass(frozen=True)
class KLSwitch:
    """Tells whether the measured programs of a task are mostly slow ones.

    ``D_KL(P | Q) = -E[log y]`` over the measured programs of the task (section 3.3). The default
    C = 1 means: biased while the geometric mean of y is under ``e^-1 = 0.368``. Programs whose
    measurement failed have no y and do not enter (`docs/differences.md`).

    Attributes:
        C: the threshold, in nats.
    """

    C: float = 1.0

    def divergence(self, labels: NDArray[np.float64]) -> float:
        """D_KL of a task's labels, in nats; +inf while nothing was measured successfully.

        Args:
            labels: of the task's measured programs; NaN where the measurement failed.

        Returns:
            The mean of -log y.
        """
        y = labels[np.isfinite(labels)]
        return -float(np.log(y).sum()) / len(y) if len(y) else float("inf")

    def biased(self, labels: NDArray[np.float64]) -> bool:
        """Whether the next programs are chosen by Algorithm 2.

        Args:
            labels: of the task's measured programs; NaN where the measurement failed.

        Returns:
            Whether D_KL is above the threshold.
        """
        return self.divergence(labels) > self.C


@dataclass(frozen=True)
class Balto(Selector):
    """Algorithm 2 where `KLSwitch` says so, else Algorithm 1; for each task and round anew.

    Attributes:
        C: threshold of the switch (`KLSwitch`), in nats.
    """

    name: ClassVar[str] = "balto"
    C: float = 1.0

    def __post_init__(self) -> None:
        check_field(self, "C", 0)

    def choose(self, state: TaskState, budget: int, rng: np.random.Generator) -> ArrayLike:
        """See the class."""
        return self._chosen(state).choose(state, budget, rng)

    def rule(self, state: TaskState) -> str:
        """``random``, ``biased-diversity`` or ``output-diversity``."""
        return self._chosen(state).rule(state)

    def _chosen(self, state: TaskState) -> Selector:
        biased = KLSwitch(self.C).biased(state.labels)
        return BiasedDiversity() if biased else OutputDiversity()
