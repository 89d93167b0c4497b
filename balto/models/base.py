"""The contract of every cost model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.errors import InputError
from balto.programs.features import Features


class CostModel(ABC):
    """Predicts how fast a program is, relative to the best of its task, from its features.

    Laws, which every model keeps and the tests check:

    1. `predict` gives one finite float64 score a program; a higher score is a faster program.
       A program's score does not depend on which other programs are asked about.
    2. `relative` maps scores into [0, 1] for the selectors, keeping their order within a task
       (ties may be made, never broken).
    3. The same seed, labels and order of calls give the same scores, in another process too.
    4. A model written with `balto.models.save` and loaded in another process predicts bit-equal.

    Attributes:
        name: how the model is called on the command line.
        seed: fixes every random choice of training.
    """

    name: ClassVar[str]

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def fit(
        self,
        features: Features,
        relative_throughput: NDArray[np.float64],
        task: NDArray[np.int32],
    ) -> None:
        """Train on everything labelled so far.

        Called again each round with more labels and with labels rescaled by a new T_max.

        Args:
            features: of `n` programs, grouped in any way.
            relative_throughput: `n`, y = T / T_max of the task, in (0, 1]; never a sentinel.
            task: `n`, which task each program belongs to.
        """

    @abstractmethod
    def predict(self, features: Features) -> NDArray[np.float64]:
        """Scores of `n` programs, `n` float64.

        Raises:
            ModelNotFitted: neither `fit` nor loading came before.
        """

    def warm_start(self, source: CostModel) -> None:
        """Start every later `fit` from `source`, a model of another device; call before `fit`.

        Args:
            source: a fitted model of the same kind.

        Raises:
            InputError: it is of another kind, or of another shape.
            ModelNotFitted: it has not been trained.
        """
        if type(source) is not type(self):
            raise InputError(
                f"the model {self.name} cannot start from the model {source.name}: "
                "choose one of them"
            )
        self._adopt(source)

    @abstractmethod
    def _adopt(self, source: Any) -> None:
        """Keep what `fit` needs of a source of the same class."""

    def relative(
        self,
        scores: NDArray[np.float64],
        task: NDArray[np.int32],  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Map scores of programs of `task` into [0, 1], as the selectors want them.

        The default is for models that regress y itself: clipping.
        """
        return np.clip(scores, 0.0, 1.0)

    @abstractmethod
    def ensemble(self, features: Features) -> NDArray[np.float64]:
        """Predictions of `K` members that one training gave, for uncertainty and diversity.

        Members are parts of the one model (subsets of trees, dropout masks), not models of their
        own; their mean is close to `predict`, not equal.

        Returns:
            `K x n` float64, K >= 2, in the units of `predict`, before `relative`.

        Raises:
            ModelNotFitted: neither `fit` nor loading came before.
        """

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The model as ``(hyper-parameters for JSON, named payloads)``, for `balto.models.save`."""

    @classmethod
    @abstractmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> CostModel:
        """The inverse of `state`."""
