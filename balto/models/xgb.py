"""The algorithm of XGBoost on program features: balto's default cost model."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_field, check_type
from balto.compiled import jit
from balto.data.features import CYCLES, DECISIONS, FEATURE_SETS, LOOPS, STORE, FeatureTable
from balto.errors import InputError, ModelNotFitted
from balto.models.base import StackedModel
from balto.models.bins import Bins
from balto.models.chunks import chunks
from balto.models.forest import Forest, Growth, add_steps, find_leaves, grow
from balto.models.table import BLOCK, Table, fill, table_width

Floats = NDArray[np.float64]

#: Programs that are asked about at a time: memory stays flat over millions.
CHUNK = 16_384
#: Of these, programs whose rows are put together at a time.
PART = 1024
#: Programs, evenly spaced, that the bins are made from.
SAMPLE = 2048
#: Which feature sets to read, best first (`docs/features.md`); `store` beside the first two brings
#: nothing, and is slow to extract.
PREFERRED = (
    (DECISIONS.name, LOOPS.name, CYCLES.name),
    (DECISIONS.name, LOOPS.name),
    (STORE.name, DECISIONS.name),
    (STORE.name,),
)
#: The arrays of a forest, as a model file names them.
_ARRAYS = ("feature", "threshold", "value")


@dataclass(frozen=True, kw_only=True)
class XGBSettings(Growth):
    """Hyper-parameters of `XGB`; `docs/models.md` says how they were chosen.

    Attributes:
        features: names of the feature sets that are read, ``store+loops`` in a text; empty for the
            first of `PREFERRED` that the programs have.
        max_bins: histogram bins a column, 2 to 256.
    """

    features: tuple[str, ...] = ()
    max_bins: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.features
        names = tuple(given.split("+")) if isinstance(given, str) else tuple(given)
        if len(set(names)) < len(names) or not set(names) <= set(FEATURE_SETS):
            known = ", ".join(FEATURE_SETS)
            raise InputError(f"expected feature sets ({known}), each once, got {', '.join(names)}")
        object.__setattr__(self, "features", names)
        check_field(self, "max_bins", 2, 256, whole=True)


class XGB(StackedModel):
    """A boosted forest that regresses sqrt(y), weighted by y, from one row a program.

    A model is asked which of the fast programs is the fastest. Both the root and the weight make
    training care more for the fast ones. Scores are squared back into relative throughput.

    The trees are grown by `balto.models.forest`, not by the XGBoost library.
    """

    name: ClassVar[str] = "xgb"
    defaults: ClassVar[XGBSettings] = XGBSettings()

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        super().__init__(seed, **settings)
        self.forest: Forest | None = None
        self._read: tuple[str, ...] = self.settings.features

    @property
    def reads(self) -> tuple[str, ...]:
        """As the settings say, or those of the programs that it was trained on."""
        return self._read

    def sets_for(self, features: FeatureTable) -> tuple[str, ...]:
        """As the settings say, or the best that these programs have."""
        return self._all_sets(self.reads or _preferred(features))

    def fit_own(
        self,
        features: FeatureTable,
        relative_throughput: Floats,
        task: NDArray[np.int32],  # noqa: ARG002
    ) -> None:
        """Grow the forest."""
        self._read = self.settings.features or _preferred(features)
        bins, codes = binned(features, self.reads, self.settings.max_bins, self.taught(features))
        self.fit_roots(bins, codes, np.sqrt(relative_throughput))

    def fit_roots(self, bins: Bins, codes: NDArray[np.uint8], roots: Floats) -> None:
        """Grow the forest from programs whose columns are binned already.

        Args:
            bins: what `binned` gave for the feature sets that the model reads.
            codes: ``n x C``, of `n` programs.
            roots: `n`, square roots of their relative throughput.
        """
        self.forest = grow(bins, codes, roots, roots**2, self.settings, self.seed)

    def predict(self, features: FeatureTable) -> Floats:
        """Predicted relative throughput, unclipped."""
        check_type("features", features, FeatureTable, "pool.features has them")
        return self.prior.blend(_squared(self.predict_roots(features)), self.taught(features))

    def ensemble(self, features: FeatureTable) -> Floats:
        """The members of the forest: member `k` is the `k`-th tree of every round, scaled up.

        All trees of a round fit the same residual, each on its own sample of the programs, so
        members differ as bagged models do, at the price of one training.
        """
        forest = self._fitted()
        count = forest.feature.shape[1]
        members = np.empty((count, len(features)))
        for place, steps in self._steps(features):
            members[:, place] = forest.base + count * steps
        return self.prior.blend(_squared(members), self.taught(features))

    def leaves(self, features: FeatureTable) -> NDArray[np.uint16]:
        """The leaf of each tree into which each of `n` programs falls: ``n x trees``.

        Args:
            features: of `n` programs.

        Returns:
            Number of the leaf within its tree.
        """
        forest = self._fitted()
        table = Table.of(features, self.reads, self.taught(features)).columns(forest.columns)
        place, threshold, _ = forest.trees
        found = np.empty((len(features), len(place)), np.uint16)
        find_leaves(np.ascontiguousarray(table), place, threshold, found)  # a row lies together
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters, and the trees as arrays."""
        forest = self._fitted()
        settings = {**asdict(self.settings), "features": list(self.reads)}
        config = {"seed": self.seed, "settings": settings, "base": forest.base}
        return config, {f"{name}.npy": _bytes(getattr(forest, name)) for name in _ARRAYS}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError: If the arrays are not those of a forest with these settings.
        """
        model = cls(config["seed"], **config["settings"])
        forest = Forest(
            config["base"], **{name: _array(payload[f"{name}.npy"]) for name in _ARRAYS}
        )
        settings = model.settings
        forest.check(
            table_width(model.reads) + config["sources"],
            settings.num_parallel_tree,
            settings.max_depth,
        )
        model.forest = forest
        return model

    def _fitted(self) -> Forest:
        if self.forest is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self.forest

    def predict_roots(self, features: FeatureTable) -> Floats:
        """Predicted square roots of relative throughput, `n`.

        Args:
            features: of `n` programs.

        Returns:
            Not clipped.
        """
        forest, roots = self._fitted(), np.empty(len(features))
        for place, steps in self._steps(features):
            roots[place] = forest.base + steps.sum(axis=0)
        return roots

    def _steps(self, features: FeatureTable) -> Iterator[tuple[slice, Floats]]:
        """The steps of `add_steps`, chunk by chunk, computed on all cores with flat memory."""
        forest = self._fitted()
        cores = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(cores) as pool:
            for place, part in chunks(features, CHUNK):
                taught = self.taught(part)
                steps = np.zeros((forest.value.shape[1], len(part)))
                ends = [len(part) * k // cores for k in range(cores + 1)]
                shares = [(part, taught, a, b, steps) for a, b in pairwise(ends)]
                jobs = [pool.submit(self._add_steps, *share) for share in shares[1:]]
                self._add_steps(*shares[0])  # here: a thread takes as long to start as a hundred
                for job in jobs:
                    job.result()
                yield place, steps

    def _add_steps(
        self, part: FeatureTable, taught: NDArray[np.float32], first: int, last: int, steps: Floats
    ) -> None:
        """The steps of programs `first` to `last`, `PART` at a time: the cache holds them."""
        forest = self._fitted()
        for start in range(first, last, PART):
            stop = min(start + PART, last)
            table = Table.of(part.slice(start, stop), self.reads, taught[start:stop])
            _add(*table.arrays(), forest.columns, len(table), *forest.trees, steps, start)


def binned(
    features: FeatureTable,
    names: Sequence[str],
    max_bins: int,
    taught: NDArray[np.float32] | None = None,
) -> tuple[Bins, NDArray[np.uint8]]:
    """Bins of the columns of some feature sets, made from a sample, and the codes of all programs.

    Args:
        features: of `n` programs, at least one.
        names: of the sets to read.
        max_bins: a column.
        taught: ``n x S``, columns to add.
    """
    more = np.empty((len(features), 0), np.float32) if taught is None else taught
    sample = np.arange(0, len(features), -(-len(features) // SAMPLE))
    bins = Bins.of(Table.of(features.take(sample), names, more[sample]).columns(), max_bins)
    codes = np.empty((len(features), len(bins.columns)), dtype=np.uint8)
    for place, part in chunks(features, CHUNK):
        codes[place] = bins.encode(Table.of(part, names, more[place]).columns(bins.columns))
    return bins, codes


@jit
def _add(
    rows: Any,
    offsets: Any,
    pooled: int,
    dense: Any,
    columns: Any,
    count: int,
    place: Any,
    threshold: Any,
    value: Any,
    steps: Any,
    first: int,
) -> None:
    block = np.empty((len(columns), BLOCK), np.float32)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        fill(rows, offsets, pooled, dense, columns, start, stop, block)
        add_steps(block, first + start, stop - start, place, threshold, value, steps)


def _preferred(features: FeatureTable) -> tuple[str, ...]:
    """The first of `PREFERRED` that the programs have, or all that they have."""
    for names in PREFERRED:
        if all(name in features for name in names):
            return names
    return features.names


def _squared(roots: Floats) -> Floats:
    return roots * np.abs(roots)  # the sign of an unlikely negative root is kept


def _bytes(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _array(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
