"""Cost models that others train on their own columns: compared with ours, they make no file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

import balto
from balto.data.features import STORE
from balto.models.pooled import pool_stores

#: LambdaRank wants integer grades; its default gains allow 31.
GRADES = 30


class LambdaRank(balto.CostModel):
    """LightGBM's LGBMRanker, groups = tasks; for comparison only, it makes no file."""

    name: ClassVar[str] = "lightgbm"
    _model: Any

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


class Stock(LambdaRank):
    """MetaSchedule's `XGBModel`, trained on all tasks at once."""

    name: ClassVar[str] = "tvm"

    def fit(
        self, features: balto.FeatureTable, relative_throughput: np.ndarray, _: np.ndarray
    ) -> None:
        from balto.workers.tvm_setup import import_tvm

        import_tvm()
        from tvm.s_tir.meta_schedule.cost_model import xgb_model

        self._model = xgb_model.XGBModel(config=xgb_model.XGBConfig(seed=self.seed))._inst
        # Candidates are feature arrays already: only what they are made from is left out.
        self._model.extractor = SimpleNamespace(
            extract_from=lambda _, found: [SimpleNamespace(numpy=lambda r=r: r) for r in found]
        )
        # What its `update` does once it has gathered all tasks.
        self._model.data_size = len(features)
        self._model._train(xs=_rows(features), ys=relative_throughput.astype(np.float32))

    def predict(self, features: balto.FeatureTable) -> np.ndarray:
        return np.asarray(self._model.predict(None, _rows(features)), dtype=np.float64)


def _rows(features: balto.FeatureTable) -> list[np.ndarray]:
    store = features[STORE.name]
    return [store[i] for i in range(len(store))]


#: By name.
MODELS: dict[str, type[balto.CostModel]] = {m.name: m for m in (LambdaRank, Stock)}
