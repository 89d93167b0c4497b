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
    """

    rounds: int = 300
    depth: int = 6
    eta: float = 0.08
    min_child_weight: float = 2.0
    row_share: float = 0.8
    column_share: float = 0.5


class XGB(CostModel):
    """Boosted trees that regress relative throughput y from pooled store features.

    Trained on one thread: histogram sums on several threads are added in another order, which
    would make the model depend on the machine (law 3).
    """

    name: ClassVar[str] = "xgb"

    def __init__(self, seed: int = 0, settings: XGBSettings | None = None) -> None:
        self.seed = seed
        self.settings = settings or XGBSettings()
        self._booster: xgboost.Booster | None = None

    def fit(
        self,
        features: Features,
        relative_throughput: NDArray[np.float64],
        task: NDArray[np.int32],  # noqa: ARG002
    ) -> None:
        """Train anew on everything labelled so far."""
        s = self.settings
        data = xgboost.QuantileDMatrix(pool_stores(features), label=relative_throughput, nthread=1)
        self._booster = xgboost.train(
            {
                "objective": "reg:squarederror",
                "max_depth": s.depth,
                "eta": s.eta,
                "min_child_weight": s.min_child_weight,
                "subsample": s.row_share,
                "colsample_bynode": s.column_share,
                "seed": self.seed,
                "nthread": 1,
            },
            data,
            num_boost_round=s.rounds,
        )

    def predict(self, features: Features) -> NDArray[np.float64]:
        """Predicted relative throughput, unclipped."""
        return self._predict(pool_stores(features))

    def ensemble(self, features: Features) -> NDArray[np.float64]:
        """Predictions of prefixes of the booster, `K x n`."""
        pooled = pool_stores(features)
        ends = np.linspace(self.settings.rounds // 2, self.settings.rounds, 5).astype(int)
        return np.stack([self._predict(pooled, (0, int(end))) for end in ends])

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters, and the trees as UBJSON."""
        config = {"seed": self.seed, "settings": asdict(self.settings)}
        return config, {"trees.ubj": bytes(self._fitted().save_raw("ubj"))}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`."""
        model = cls(config["seed"], XGBSettings(**config["settings"]))
        model._booster = xgboost.Booster({"nthread": 1})
        model._booster.load_model(bytearray(payload["trees.ubj"]))
        return model

    def _fitted(self) -> xgboost.Booster:
        if self._booster is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self._booster

    def _predict(
        self, pooled: NDArray[np.float32], trees: tuple[int, int] = (0, 0)
    ) -> NDArray[np.float64]:
        scores = self._fitted().inplace_predict(pooled, iteration_range=trees)
        return np.asarray(scores, dtype=np.float64)
