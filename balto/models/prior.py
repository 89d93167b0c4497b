"""How far a model leans on its sources, the models of `start_from`: as far as its labels say.

A model that reads its sources' predictions as columns still needs labels to learn that they are
right. So the model's own prediction is averaged with theirs. Their weight is estimated from labels
that the model was not trained on (cross-validation), as a posterior mean:

- Eleven weights, `GRID`, are tried. The log-likelihood of each is the Top-1 that it gives on the
  held-out labels, summed over the tasks and divided by `SHARP`.
- The prior of the weight is normal. Its mean, `WORTH` / (`WORTH` + labels a task), is where the
  sources count as much as `WORTH` labels of each task; its deviation is `SPREAD`.

With few labels the prior decides, with many the likelihood (shrinkage, as in empirical Bayes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.plausible import LARGEST_WEIGHT

Floats = NDArray[np.float64]

#: How many labels of each task the sources are worth together, before there is evidence.
WORTH = 20.0
#: Weights that are tried.
GRID = np.linspace(0.0, 1.0, 11)
#: Standard deviation of the weight around the one that `WORTH` gives, before there is evidence.
SPREAD = 0.3
#: Temperature of the likelihood: Top-1 that is higher by this much in one task makes a weight e
#: times as likely.
SHARP = 0.1
#: Folds of the cross-validation, and held-out labels that are enough: then no more folds are made.
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
    """The sources' predictions in the units of a model, as a line, and how much they count.

    The line is ``offset + slopes @ predictions`` of the `S` sources.

    Attributes:
        weight: of the line, in [0, 1]; the model's own prediction has the rest.
        offset: of the line.
        slopes: of the line, `S`, at least 0.
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
        """Fit the sources' predictions to the model's own, and weigh the two.

        Each source is fitted alone, by least squares. A source whose slope is not positive is left
        out; the slopes of the others are averaged by the variance of `own` that each explains. If
        no source explains anything, the weight is 0.

        Args:
            taught: ``n x S``, predictions of the sources.
            own: `n`, predictions of the model, of the programs that it was trained on.
            unseen: `n`, predictions by copies of the model, each of programs that it was not
                trained on; NaN where there is none.
            y: `n`, the labels.
            task: `n`.

        Returns:
            The line, and its weight.
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
        """The weighted mean of the model's own predictions, `n` or ``K x n``, and the line.

        Args:
            own: the model's predictions.
            taught: ``n x S``, predictions of the sources.

        Returns:
            Of the shape of `own`.
        """
        if not self.weight or not self.slopes:
            return own
        said = self.offset + taught.astype(np.float64) @ np.array(self.slopes)
        return np.asarray((1 - self.weight) * own + self.weight * said)

    def to_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns:
            Its three values by name.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], sources: int) -> Prior:
        """The inverse of `to_dict`, for a model of so many sources.

        Args:
            values: as `to_dict` gives them.
            sources: how many there are.

        Returns:
            The prior.

        Raises:
            ValueError: If a number is not finite or out of range, or there are not as many slopes
                as sources.
        """
        weight, offset, slopes = (values[name] for name in ("weight", "offset", "slopes"))
        numbers = [weight, offset, *slopes]
        if not all(isinstance(v, float | int) and abs(v) <= LARGEST_WEIGHT for v in numbers):
            raise ValueError(f"a prior of numbers of at most {LARGEST_WEIGHT:g} was expected")
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
