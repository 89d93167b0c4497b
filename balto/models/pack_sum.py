"""TenSet's XGBoost: a tree ensemble over store rows, whose sum is the program's score."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import xgboost
from numpy.typing import NDArray

from balto.errors import ModelNotFitted
from balto.models.base import CostModel
from balto.models.chunks import chunks
from balto.models.xgb import CHUNK, Floats
from balto.programs.features import Features


@dataclass(frozen=True)
class PackSumSettings:
    """TenSet's hyper-parameters; its code leaves base score and the rest at XGBoost's defaults."""

    rounds: int = 300
    depth: int = 6
    gamma: float = 0.003
    min_child_weight: float = 2.0
    eta: float = 0.2
    base_score: float = 0.5


class PackSumXGB(CostModel):
    """TenSet's pack-sum semantics and preset, for results that compare with the paper's.

    Every store row is a training row, and f(program) = sum of f(row) over its rows. Under the
    square error (f(program) - y)^2 / 2 the gradient of each row is f(program) - y; the hessian
    is taken as 1, as TenSet does. TenSet's nine operator tags are not among the 164 columns.
    """

    name: ClassVar[str] = "xgb-tenset"

    def __init__(self, seed: int = 0, settings: PackSumSettings | None = None) -> None:
        super().__init__(seed)
        self.settings = settings or PackSumSettings()
        self._booster: xgboost.Booster | None = None
        self._source: xgboost.Booster | None = None

    def fit(
        self,
        features: Features,
        relative_throughput: Floats,
        task: NDArray[np.int32],  # noqa: ARG002
    ) -> None:
        """Train anew on everything labelled so far."""
        s = self.settings
        first, stores = features.offsets[:-1], features.stores

        def square_error(rows: Any, _: xgboost.DMatrix) -> tuple[Any, Any]:
            gradient = np.add.reduceat(rows, first) - relative_throughput
            return np.repeat(gradient, stores), np.ones(len(rows))

        self._booster = xgboost.train(
            {
                "max_depth": s.depth,
                "gamma": s.gamma,
                "min_child_weight": s.min_child_weight,
                "eta": s.eta,
                "base_score": s.base_score,
                "seed": self.seed,
                "nthread": 1,
            },
            xgboost.QuantileDMatrix(features.rows, nthread=1),
            num_boost_round=s.rounds,
            obj=square_error,
            xgb_model=self._source,
        )

    def predict(self, features: Features) -> Floats:
        """Predicted relative throughput, unclipped."""
        scores: Floats = self._by_chunks(features, [0])[0]  # 0: all rounds
        return scores

    def ensemble(self, features: Features) -> Floats:
        """A virtual ensemble: the booster cut off after 1/32, 1/16, ... of its rounds.

        The preset leaves no randomness to make better members of; `XGB` has some.
        """
        rounds = self._fitted().num_boosted_rounds()
        return self._by_chunks(features, [max(1, rounds >> k) for k in range(5, -1, -1)])

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters, and the trees as UBJSON."""
        trees = bytes(self._fitted().save_raw("ubj"))
        return {"seed": self.seed, "settings": asdict(self.settings)}, {"trees.ubj": trees}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`."""
        model = cls(config["seed"], PackSumSettings(**config["settings"]))
        model._booster = xgboost.Booster({"nthread": 1})
        model._booster.load_model(bytearray(payload["trees.ubj"]))
        return model

    def _adopt(self, source: PackSumXGB) -> None:
        """Boost on from the trees of `source`."""
        self._source = source._fitted()

    def _fitted(self) -> xgboost.Booster:
        if self._booster is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self._booster

    def _by_chunks(self, features: Features, ends: Any) -> Floats:
        """Scores of the first `end` trees for each of the `K` ends, `K x n`."""
        booster = self._fitted()
        scores = np.empty((len(ends), len(features)))
        for place, part in chunks(features, CHUNK):
            for member, end in zip(scores, ends, strict=True):
                rows = booster.inplace_predict(part.rows, iteration_range=(0, int(end)))
                member[place] = np.add.reduceat(rows, part.offsets[:-1])
        return scores
