"""Our default beside the models that others train on their own columns, at all labels.

    python experiments/rivals.py --seeds 10

``tvm`` is MetaSchedule's `XGBModel`, TVM's code with its default settings, on TVM's store features;
``lightgbm`` is LightGBM's LambdaRank with its defaults, on the same features summed and maximised
over a program's stores. Needs TVM and ``pip install lightgbm``.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import _intervals as st
import numpy as np
from _page import publish
from _replay import FULL, Cell, fingerprint
from _study import arguments, main, merged, run_all
from models import LambdaRank

import balto
from balto.data.features import STORE


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


MODELS: dict[str, type[Any]] = {model.name: model for model in (LambdaRank, Stock)}


def study() -> None:
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--models", nargs="+", default=["lightgbm", "tvm", "xgb"])
    options = parser.parse_args()
    wanted = {
        (pool, model): [
            Cell(pool, FULL, model, seed=seed, programs=120 if options.scale == "small" else 0)
            for seed in range(options.seeds)
        ]
        for pool in options.pool
        for model in options.models
    }
    found = run_all([c for some in wanted.values() for c in some], options)
    if found is None:
        return
    merged(found, options.out, "rivals")
    ratios = {
        (pool, model): st.Ratio.mean(
            fingerprint(pool), [found[c].values["halves"][-1] for c in some]
        )
        for (pool, model), some in wanted.items()
    }
    *others, ours = options.models
    rows = []
    for pools in [*([p] for p in options.pool), options.pool]:
        name = Path(pools[0]).name if len(pools) == 1 else "mean"
        row: list[object] = [name]
        mine = [ratios[pool, ours] for pool in pools]
        for other in others:
            theirs = [ratios[pool, other] for pool in pools]
            row += [st.estimate(theirs), st.difference(mine, theirs).signed]
        rows.append([*row, st.estimate(mine)])
    head = ["pool"]
    for other in others:
        head += [other, f"{ours} against it"]
    words = f"Top-1 over random halves of the held-out quarter, all labels, {options.seeds} seeds."
    table = ("Means with 95 % intervals; differences are paired", [*head, ours], rows)
    publish(options.out, "rivals", "Others' models on their own columns", words, [table])


if __name__ == "__main__":
    main(study)
