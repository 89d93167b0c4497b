"""How far a model leans on what other devices taught: as far as its labels say that it should.

A model that reads its sources' predictions as columns still needs labels to learn that they are
right. So what it predicts itself is drawn towards them. By how much is judged on labels that the
model was not shown: a grid of weights, each worth what the programs ranked first by it give, is
averaged by how good the weights are. Before there is evidence the sources count as `WORTH` labels a
task would (shrinkage, as in empirical Bayes).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Labels a task that the sources together are taken to be worth, before there is evidence.
WORTH = 20.0
#: Weights that are tried, and how far the right one is expected from that which `WORTH` gives.
GRID, SPREAD = np.linspace(0.0, 1.0, 11), 0.3
#: Top-1 that another weight must bring in one task to be e times as likely.
SHARP = 0.1
#: A model is judged on parts of its labels in turn, until it has been judged on this many.
FOLDS, ENOUGH = 4, 2000


def folds(task: NDArray[np.int32], seed: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Splits for cross-validation: programs to train on, and a quarter of each task to judge on.

    Up to `FOLDS` of them, each with another quarter; fewer once `ENOUGH` programs are judged on.
    """
    order = np.random.default_rng(seed).permutation(len(task))
    order = order[np.argsort(task[order], kind="stable")]
    for fold in range(min(FOLDS, -(-ENOUGH * FOLDS // len(task)))):
        held_out = np.zeros(len(task), dtype=bool)
        held_out[order[fold::FOLDS]] = True
        if held_out.any() and not held_out.all():
            yield np.flatnonzero(~held_out), np.flatnonzero(held_out)


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
    def of(
        cls,
        taught: NDArray[np.float32],
        own: Floats,
        unseen: Floats,
        y: Floats,
        task: NDArray[np.int32],
    ) -> Prior:
        """Fit the sources to what the model predicts of what it learnt from, and weigh the two.

        A source that orders them the wrong way gets no say; the others share it by how well they
        explain the model's own predictions. Where none explains anything, the weight is 0.

        Args:
            taught: ``n x S``, predictions of the sources.
            own: `n`, of the model.
            unseen: `n`, of copies of it that were not trained on the program; NaN where none is.
            y: `n`, the labels.
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
        said = offset + taught.astype(np.float64) @ slopes
        weight = WORTH / (WORTH + len(own) / len(np.unique(task)))
        if (judged := np.isfinite(unseen)).any():
            apart, base = (said - unseen)[judged], unseen[judged]
            gives = [_top1(base + t * apart, y[judged], task[judged]).sum() for t in GRID]
            likely = np.array(gives) / SHARP - np.square((GRID - weight) / SPREAD) / 2
            odds = np.exp(likely - likely.max())
            weight = float(odds @ GRID / odds.sum())
        return cls(weight, offset, tuple(slopes.tolist()))

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
            ValueError: If a number is not finite or out of range, or there are not as many slopes
                as sources.
        """
        weight, offset, slopes = (values[name] for name in ("weight", "offset", "slopes"))
        numbers = [weight, offset, *slopes]
        if not all(isinstance(v, float | int) and math.isfinite(v) for v in numbers):
            raise ValueError("a prior of finite numbers was expected")
        if not 0 <= weight <= 1 or min(slopes, default=0) < 0 or len(slopes) not in (0, sources):
            raise ValueError("a prior of another number of sources, or out of range")
        return cls(float(weight), float(offset), tuple(map(float, slopes)))


def _top1(scores: Floats, y: Floats, task: NDArray[np.int32]) -> Floats:
    """Of each task: the mean label of what is ranked first, over random halves of its programs.

    Program number k of the ranking is first in a share of ``2^-k`` of the halves.
    """
    order = np.lexsort((-scores, task))
    _, first, group = np.unique(task[order], return_index=True, return_inverse=True)
    share = 0.5 ** (np.arange(len(order)) - first[group] + 1.0)
    return np.asarray(np.bincount(group, share * y[order]) / np.bincount(group, share))
