"""The XGBoost models against what their docstrings say."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from balto.data.features import STORE, Features, FeatureTable
from balto.models import create
from balto.models.pack_sum import PackSumSettings


def labelled(stores: int, n: int = 150):
    rng = np.random.default_rng(0)
    store = Features.from_programs(rng.uniform(0, 8, (n, stores, STORE.width)))
    y = np.exp(0.3 * (store.rows[::stores, 5] - 8))
    return FeatureTable({"store": store}), y / y.max(), np.zeros(n, np.int32)


def test_the_roots_of_the_members_average_to_the_root_of_the_prediction() -> None:
    model, (features, y, task) = create("xgb"), labelled(2)
    model.fit(features, y, task)
    roots = np.sqrt(np.clip(model.ensemble(features), 0, None))
    np.testing.assert_allclose(roots.mean(0), np.sqrt(model.predict(features)), atol=0.02)
    assert np.median(roots.std(0)) > 0.01


def test_with_one_store_pack_sum_is_the_ordinary_square_error() -> None:
    model, (features, y, task) = create("xgb-tenset"), labelled(1)
    model.fit(features, y, task)
    s = PackSumSettings()
    plain = xgboost.train(
        {
            "objective": "reg:squarederror",
            "max_depth": s.max_depth,
            "gamma": s.gamma,
            "min_child_weight": s.min_child_weight,
            "eta": s.learning_rate,
            "base_score": s.base_score,
            "nthread": 1,
        },
        xgboost.QuantileDMatrix(features["store"].rows, y, nthread=1),
        num_boost_round=s.num_boost_round,
    )
    expected = plain.predict(xgboost.DMatrix(features["store"].rows))
    np.testing.assert_allclose(model.predict(features), expected, rtol=1e-4)


def test_a_pack_sum_score_is_the_sum_over_the_stores() -> None:
    model, (features, y, task) = create("xgb-tenset"), labelled(3)
    model.fit(features, y, task)
    each_row = Features.from_programs(features["store"].rows[:, None, :])
    alone = model.predict(FeatureTable({"store": each_row}))
    np.testing.assert_allclose(alone.reshape(-1, 3).sum(1), model.predict(features), rtol=1e-5)


@pytest.mark.parametrize("name", ["xgb", "xgb-tenset"])
def test_one_label_is_enough_to_train(name: str) -> None:
    features, _, _ = labelled(2)
    model = create(name)
    model.fit(features.take(np.array([0])), np.ones(1), np.zeros(1, np.int32))
    assert np.isfinite(model.predict(features)).all()
