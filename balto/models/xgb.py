"""The algorithm of XGBoost on pooled program features: balto's default cost model."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Self

import numba
import numpy as np
from numpy.typing import NDArray

from balto.errors import InputError, ModelNotFitted
from balto.models.base import CostModel
from balto.models.bins import Bins
from balto.models.chunks import chunks
from balto.models.forest import Forest, Growth, add_steps, grow
from balto.models.pooled import pool_into, pool_stores
from balto.programs.features import Features

Floats = NDArray[np.float64]

#: Programs that are pooled at a time: memory stays flat over millions.
CHUNK = 16_384
#: Programs whose pooled rows are made at a time: they stay in the cache.
BLOCK = 64
#: Groups of tasks that are kept apart from each other to correct T_max.
FOLDS = 3
#: Programs, evenly spaced, that the bins are made from.
SAMPLE = 2048
#: The arrays of a forest, as a model file names them.
_ARRAYS = ("feature", "threshold", "value")


@dataclass(frozen=True)
class XGBSettings(Growth):
    """Hyper-parameters of `XGB`; `docs/models.md` says how they were chosen.

    Attributes:
        bins: histogram bins a column, 2 to 256.
        trusted: a task with fewer labels has its T_max corrected by what other tasks teach.
        tuning_eta: learning rate of the rounds that are boosted on from another model.
    """

    bins: int = 64
    trusted: int = 50
    tuning_eta: float = 0.1


class XGB(CostModel):
    """A boosted forest that regresses sqrt(y), weighted by y, from pooled store features.

    Both the root and the weight move effort to where the model is asked: which of the fast
    programs is the fastest. Scores are squared back into relative throughput.

    The trees are grown by `balto.models.forest`, not by the XGBoost library.
    """

    name: ClassVar[str] = "xgb"

    def __init__(self, seed: int = 0, settings: XGBSettings | None = None) -> None:
        super().__init__(seed)
        self.settings = settings or XGBSettings()
        self._forest: Forest | None = None
        self._source: XGB | None = None

    def fit(
        self,
        features: Features,
        relative_throughput: Floats,
        task: NDArray[np.int32],
    ) -> None:
        """Train anew on everything labelled so far."""
        roots = np.sqrt(relative_throughput)
        bins, codes = self._binned(features)
        if self._source is None:
            expected = self._expected_by_others(features, bins, codes, roots, task)
            self._forest = self._grow(bins, codes, on_the_scale_of(expected, roots, task))
        else:
            source = self._source._fitted()
            start = _roots(source, features)
            labels = on_the_scale_of(start, roots, task)
            settings = replace(self.settings, eta=self.settings.tuning_eta)
            self._forest = source.then(
                grow(bins, codes, labels, labels**2, settings, self.seed, start)
            )

    def _binned(self, features: Features) -> tuple[Bins, NDArray[np.uint8]]:
        sample = np.arange(0, len(features), -(-len(features) // SAMPLE))
        bins = Bins.of(pool_stores(features.take(sample)), self.settings.bins)
        codes = np.empty((len(features), len(bins.columns)), dtype=np.uint8)
        for place, part in chunks(features, CHUNK):
            codes[place] = bins.encode(pool_stores(part, bins.columns))
        return bins, codes

    def _expected_by_others(
        self,
        features: Features,
        bins: Bins,
        codes: NDArray[np.uint8],
        roots: Floats,
        task: NDArray[np.int32],
    ) -> Floats:
        """Roots of the tasks with few labels, as a model of the *other* tasks predicts them.

        The best of a few labels counts as y = 1, however slow it is: the overestimation of the
        paper's section 3.3, which selection inherits. A model that has not seen the task knows
        better how good its labelled programs are. Tasks are taken in `FOLDS` groups.
        """
        _, group, counts = np.unique(task, return_inverse=True, return_counts=True)
        few = (counts < self.settings.trusted)[group]
        expected = roots.copy()
        for fold in range(FOLDS if few.any() and len(counts) > 1 else 0):
            held_out, others = group % FOLDS == fold, np.flatnonzero(group % FOLDS != fold)
            asked = np.flatnonzero(held_out & few)
            if len(asked) and len(others):
                forest = self._grow(bins, codes[others], roots[others])
                expected[asked] = np.maximum(_roots(forest, features.take(asked)), 0)
        return expected

    def _grow(self, bins: Bins, codes: NDArray[np.uint8], roots: Floats) -> Forest:
        return grow(bins, codes, roots, roots**2, self.settings, self.seed)

    def predict(self, features: Features) -> Floats:
        """Predicted relative throughput, unclipped."""
        return _squared(_roots(self._fitted(), features))

    def ensemble(self, features: Features) -> Floats:
        """The members of the forest: member `k` is the `k`-th tree of every round, scaled up.

        All trees of a round fit the same residual, each on its own sample of the programs, so
        members differ as bagged models do, at the price of one training.
        """
        forest, count = self._fitted(), self.settings.members
        members = np.empty((count, len(features)))
        for place, steps in _steps(forest, features):
            members[:, place] = forest.base + count * steps
        return _squared(members)

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters, and the trees as arrays."""
        forest = self._fitted()
        config = {"seed": self.seed, "settings": asdict(self.settings), "base": forest.base}
        return config, {f"{name}.npy": _bytes(getattr(forest, name)) for name in _ARRAYS}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError: the arrays are not those of a forest.
        """
        model = cls(config["seed"], XGBSettings(**config["settings"]))
        model._forest = Forest(
            config["base"], **{name: _array(payload[f"{name}.npy"]) for name in _ARRAYS}
        )
        return model

    def _adopt(self, source: XGB) -> None:
        """Boost on from the trees of `source`."""
        source._fitted()
        theirs, ours = source.settings, self.settings
        if (theirs.members, theirs.depth) != (ours.members, ours.depth):
            raise InputError(
                f"the source grows {theirs.members} trees of depth {theirs.depth} a round, this "
                f"model {ours.members} of depth {ours.depth}: their forests cannot be joined"
            )
        self._source = source

    def _fitted(self) -> Forest:
        if self._forest is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self._forest


def _roots(forest: Forest, features: Features) -> Floats:
    """Predicted roots of `n` programs."""
    roots = np.empty(len(features))
    for place, steps in _steps(forest, features):
        roots[place] = forest.base + steps.sum(axis=0)
    return roots


def _steps(forest: Forest, features: Features) -> Iterator[tuple[slice, Floats]]:
    """`Forest.steps`, part by part, on all cores; no pooled row is kept longer than needed."""
    columns, trees = forest.columns, forest.trees
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        for place, part in chunks(features, CHUNK):
            steps = np.zeros((forest.value.shape[1], len(part)))
            ends = [len(part) * k // cores for k in range(cores + 1)]
            shares = [
                (part.rows, part.offsets[a : b + 1], columns, *trees, steps[:, a:b])
                for a, b in pairwise(ends)
            ]
            jobs = [pool.submit(_add, *share) for share in shares[1:]]
            _add(*shares[0])  # here: a thread takes as long to start as a hundred programs
            for job in jobs:
                job.result()
            yield place, steps


@numba.njit(cache=True, nogil=True)
def _add(
    rows: Any, offsets: Any, columns: Any, place: Any, threshold: Any, value: Any, steps: Any
) -> None:
    pooled = np.empty((BLOCK, len(columns)), np.float32)
    for start in range(0, len(offsets) - 1, BLOCK):
        stop = min(start + BLOCK, len(offsets) - 1)
        pool_into(rows, offsets[start : stop + 1], columns, pooled)
        add_steps(pooled[: stop - start], place, threshold, value, steps[:, start:stop])


def _squared(roots: Floats) -> Floats:
    return roots * np.abs(roots)  # the sign of an unlikely negative root is kept


def on_the_scale_of(expected: Floats, labels: Floats, task: NDArray[np.int32]) -> Floats:
    """Labels of each task times the factor, 0.1 to 1, that brings them closest to `expected`.

    The best of a few labels counts as 1, however slow it is. A model that has seen more knows
    better where on the scale the task's labels are; a factor changes no order within a task.
    """
    tasks, group = np.unique(task, return_inverse=True)
    products = np.bincount(group, weights=expected * labels, minlength=len(tasks))
    factor = products / np.bincount(group, weights=labels**2, minlength=len(tasks))
    return np.asarray(np.clip(factor, 0.1, 1.0)[group] * labels, dtype=np.float64)


def _bytes(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _array(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
