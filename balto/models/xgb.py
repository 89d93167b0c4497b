"""XGBoost on pooled program features: balto's default cost model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import xgboost
from numpy.typing import NDArray

from balto.errors import ModelNotFitted
from balto.models.base import CostModel
from balto.models.pooled import pool_stores
from balto.programs.features import Features

Floats = NDArray[np.float64]

#: Programs that are pooled and predicted at a time: memory stays flat over millions.
CHUNK = 16_384
#: Programs that `distinct_columns` looks at.
SAMPLE = 4096
#: Members of `ensemble`.
MEMBERS = 8


@dataclass(frozen=True)
class XGBSettings:
    """Hyper-parameters of `XGB`; `docs/models.md` says how they were chosen.

    Attributes:
        rounds: trees.
        depth: of each tree.
        eta: learning rate.
        min_child_weight: fewest programs in a leaf.
        row_share: share of the programs that each tree sees.
        column_share: share of the columns that each split may use.
        bins: histogram bins a column.
    """

    rounds: int = 200
    depth: int = 6
    eta: float = 0.08
    min_child_weight: float = 2.0
    row_share: float = 0.8
    column_share: float = 0.5
    bins: int = 64


class XGB(CostModel):
    """Boosted trees that regress relative throughput y from pooled store features.

    Trained on one thread: histogram sums on several threads may be added in another order, which
    would make the model depend on the machine (law 3).
    """

    name: ClassVar[str] = "xgb"

    def __init__(self, seed: int = 0, settings: XGBSettings | None = None) -> None:
        super().__init__(seed)
        self.settings = settings or XGBSettings()
        self._booster: xgboost.Booster | None = None
        self._columns: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def fit(
        self,
        features: Features,
        relative_throughput: Floats,
        task: NDArray[np.int32],  # noqa: ARG002
    ) -> None:
        """Train anew on everything labelled so far."""
        s = self.settings
        pooled = pool_stores(features)
        self._columns = distinct_columns(pooled)
        data = xgboost.QuantileDMatrix(
            pooled.take(self._columns, axis=1), label=relative_throughput, max_bin=s.bins, nthread=1
        )
        self._booster = xgboost.train(
            {
                "objective": "reg:squarederror",
                "max_depth": s.depth,
                "eta": s.eta,
                "min_child_weight": s.min_child_weight,
                "subsample": s.row_share,
                "colsample_bynode": s.column_share,
                "max_bin": s.bins,
                "seed": self.seed,
                "nthread": 1,
            },
            data,
            num_boost_round=s.rounds,
        )

    def predict(self, features: Features) -> Floats:
        """Predicted relative throughput, unclipped."""
        scores: Floats = self._by_chunks(features, [self.settings.rounds])[0]
        return scores

    def ensemble(self, features: Features) -> Floats:
        """A virtual ensemble: the booster cut off after half of its trees, and later ones.

        Source: Ustimenko & Prokhorenkova, *SGLB*, ICML 2021; Malinin et al., ICLR 2021.
        """
        rounds = self.settings.rounds
        return self._by_chunks(features, np.linspace(rounds / 2, rounds, MEMBERS).astype(int))

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters and columns, and the trees as UBJSON."""
        trees = bytes(self._fitted().save_raw("ubj"))
        config = {"seed": self.seed, "settings": asdict(self.settings)}
        return {**config, "columns": self._columns.tolist()}, {"trees.ubj": trees}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`."""
        model = cls(config["seed"], XGBSettings(**config["settings"]))
        model._columns = np.array(config["columns"], dtype=np.int64)
        model._booster = xgboost.Booster({"nthread": 1})
        model._booster.load_model(bytearray(payload["trees.ubj"]))
        return model

    def _fitted(self) -> xgboost.Booster:
        if self._booster is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self._booster

    def _by_chunks(self, features: Features, ends: Any) -> Floats:
        """Predictions of the first `end` trees for each of the `K` ends, `K x n`."""
        booster = self._fitted()
        scores = np.empty((len(ends), len(features)))
        for start in range(0, len(features), CHUNK):
            stop = min(start + CHUNK, len(features))
            pooled = pool_stores(features.slice(start, stop)).take(self._columns, axis=1)
            for member, end in zip(scores, ends, strict=True):
                member[start:stop] = booster.inplace_predict(pooled, iteration_range=(0, int(end)))
        return scores


def distinct_columns(pooled: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which columns vary and rank the programs unlike any earlier column, ascending.

    A tree can split a column and a monotone function of it in the same places, and a constant
    column nowhere; about half of the pooled columns are such, and cost training time. Judged on
    `SAMPLE` programs, evenly spaced.
    """
    sample = pooled[:: -(-len(pooled) // SAMPLE)]
    seen: dict[bytes, int] = {}
    for column in range(pooled.shape[1]):
        values, ranks = np.unique(sample[:, column], return_inverse=True)
        if len(values) > 1:
            seen.setdefault(ranks.astype(np.int32).tobytes(), column)
    return np.array(list(seen.values()) or [0], dtype=np.int64)
