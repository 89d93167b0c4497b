"""How far a model leans on what other devices taught: much while labels are few, hardly later.

A model that reads its sources' predictions as columns still needs labels to learn that they are
right. So what it predicts itself is drawn towards them, by the weight that a prior worth `WORTH`
labels a task has beside the labels that there are (shrinkage, as in empirical Bayes).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Labels a task that the sources together are taken to be worth.
WORTH = 60.0


@dataclass(frozen=True)
class Prior:
    """What `S` sources say, in the units of a model, and how much it counts.

    Attributes:
        weight: of the sources, in [0, 1]; the model's own prediction has the rest.
        offset: added to the sources' part.
        slopes: `S`, at least 0, of their predictions.
    """

    weight: float = 0.0
    offset: float = 0.0
    slopes: tuple[float, ...] = ()

    @classmethod
    def of(cls, taught: NDArray[np.float32], own: Floats, task: NDArray[np.int32]) -> Prior:
        """Fit the sources to what the model predicts for the programs that it was trained on.

        A source that orders them the wrong way gets no say; the others share it by how well they
        explain the model's own predictions. Where none explains anything, the weight is 0.

        Args:
            taught: ``n x S``, predictions of the sources.
            own: `n`, of the model.
            task: `n`.
        """
        if not taught.shape[1] or not len(own):
            return cls()
        centred = taught.astype(np.float64) - taught.mean(axis=0, dtype=np.float64)
        variance = np.square(centred).mean(axis=0)
        shared = (centred * (own - own.mean())[:, None]).mean(axis=0)
        useful = (shared > 0) & (variance > 1e-12)
        slope = np.where(useful, shared / np.where(useful, variance, 1.0), 0.0)
        explained = slope * np.maximum(shared, 0.0)  # variance of `own` that a source explains
        if not explained.sum() > 0:
            return cls(slopes=(0.0,) * taught.shape[1])
        slopes = slope * explained / explained.sum()
        offset = float(own.mean() - taught.mean(axis=0, dtype=np.float64) @ slopes)
        labels = len(own) / len(np.unique(task))
        return cls(WORTH / (WORTH + labels), offset, tuple(slopes.tolist()))

    def blend(self, own: Floats, taught: NDArray[np.float32]) -> Floats:
        """The model's predictions, `n` or ``K x n``, drawn towards the sources'."""
        if not self.weight or not self.slopes:
            return own
        said = self.offset + taught.astype(np.float64) @ np.array(self.slopes)
        return np.asarray((1 - self.weight) * own + self.weight * said)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], sources: int) -> Prior:
        """The inverse of `to_dict`, for a model of so many sources.

        Raises:
            ValueError: the values are not those of a prior.
        """
        weight, offset, slopes = (values[name] for name in ("weight", "offset", "slopes"))
        numbers = [weight, offset, *slopes]
        if not all(isinstance(v, float | int) and math.isfinite(v) for v in numbers):
            raise ValueError("a prior of finite numbers was expected")
        if not 0 <= weight <= 1 or min(slopes, default=0) < 0 or len(slopes) not in (0, sources):
            raise ValueError("a prior of another number of sources, or out of range")
        return cls(float(weight), float(offset), tuple(map(float, slopes)))
