"""The cost models beside each other, at all labels and at a random 5 %.

    python experiments/models.py --scale small
    python experiments/models.py --models xgb xgb-tenset mlp lstm lightgbm

``lightgbm`` is LightGBM's LambdaRank with its defaults on the features of `xgb`: what one would try
first. It needs ``pip install lightgbm``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from _intervals import Ratio, estimate
from _page import publish
from _replay import FULL, Cell, fingerprint
from _study import arguments, main, merged, run_all

import balto
from balto.models.pooled import pool_stores

#: LambdaRank wants integer grades; its default gains allow 31.
GRADES = 30


class LambdaRank(balto.CostModel):
    """LightGBM's LGBMRanker, groups = tasks; for comparison only, it makes no file."""

    name: ClassVar[str] = "lightgbm"

    def fit(
        self, features: balto.FeatureTable, relative_throughput: np.ndarray, task: np.ndarray
    ) -> None:
        import lightgbm

        self._model = lightgbm.LGBMRanker(random_state=self.seed, n_jobs=1, verbose=-1)
        order = np.argsort(task, kind="stable")
        grades = (relative_throughput * GRADES).astype(int)[order]
        groups = np.unique(task, return_counts=True)[1]
        self._model.fit(pool_stores(features["store"])[order], grades, group=groups)

    def predict(self, features: balto.FeatureTable) -> np.ndarray:
        return np.asarray(self._model.predict(pool_stores(features["store"])), dtype=np.float64)

    def to_relative_throughput(self, scores: np.ndarray, task: np.ndarray) -> np.ndarray:
        """By rank within the task."""
        mapped = np.empty(len(scores))
        for k in np.unique(task):
            members = np.flatnonzero(task == k)
            order = np.argsort(np.argsort(scores[members], kind="stable"), kind="stable")
            mapped[members] = (order + 1) / len(members)
        return mapped

    def ensemble(self, features: balto.FeatureTable) -> np.ndarray:
        raise NotImplementedError("compared with random selection only")

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        raise NotImplementedError("it makes no file")

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> LambdaRank:
        raise NotImplementedError("it makes no file")


def study() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", help="default: xgb xgb-tenset mlp lstm")
    options = parser.parse_args()
    small = options.scale == "small"
    models = options.models or (
        ["xgb", "xgb-tenset"] if small else ["xgb", "xgb-tenset", "mlp", "lstm"]
    )
    wanted = [
        Cell(pool, scheme, model, rounds=1, seed=seed, programs=120 if small else 0)
        for model in models
        for pool in options.pool
        for scheme in (FULL, "random")
        for seed in range(options.seeds)
    ]
    found = run_all(wanted, options)
    if found is None:
        return
    merged(found, options.out, "models")
    rows = []
    for model in models:
        row: list[object] = [model]
        for scheme in (FULL, "random"):
            for metric in ("top1", "top5"):
                pools = [
                    Ratio.mean(
                        fingerprint(pool),
                        [
                            r.values[metric][-1]
                            for c, r in found.items()
                            if (c.pool, c.scheme, c.model) == (pool, scheme, model)
                        ],
                    )
                    for pool in options.pool
                ]
                row.append(estimate(pools))
        rows.append(row)
    head = ["model", "all labels: Top-1", "Top-5", "random 5 %: Top-1", "Top-5"]
    words = f"{options.seeds} seeds, {len(options.pool)} pools, a quarter of each task held out."
    publish(
        options.out, "models", "Cost models", words, [("Means with 95 % intervals", head, rows)]
    )


if __name__ == "__main__":
    main(study)
