"""The XGBoost models against what their docstrings say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xgboost

from balto.learn.metrics import relative_throughput
from balto.models import create
from balto.models.pack_sum import PackSumSettings
from balto.models.xgb import XGB, XGBSettings, on_the_scale_of
from balto.programs.features import COLUMNS, Features
from tests.conftest import make_pool


def labelled(stores: int, n: int = 150):
    rng = np.random.default_rng(0)
    features = Features.from_programs(rng.uniform(0, 8, (n, stores, COLUMNS)))
    y = np.exp(0.3 * (features.rows[::stores, 5] - 8))
    return features, y / y.max(), np.zeros(n, np.int32)


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
            "max_depth": s.depth,
            "gamma": s.gamma,
            "min_child_weight": s.min_child_weight,
            "eta": s.eta,
            "base_score": s.base_score,
            "nthread": 1,
        },
        xgboost.QuantileDMatrix(features.rows, y, nthread=1),
        num_boost_round=s.rounds,
    )
    expected = plain.predict(xgboost.DMatrix(features.rows))
    np.testing.assert_allclose(model.predict(features), expected, rtol=1e-4)


def test_a_pack_sum_score_is_the_sum_over_the_stores() -> None:
    model, (features, y, task) = create("xgb-tenset"), labelled(3)
    model.fit(features, y, task)
    alone = model.predict(Features.from_programs(features.rows[:, None, :]))
    np.testing.assert_allclose(alone.reshape(-1, 3).sum(1), model.predict(features), rtol=1e-5)


@pytest.mark.parametrize("name", ["xgb", "xgb-tenset"])
def test_one_label_is_enough_to_train(name: str) -> None:
    features, _, _ = labelled(2)
    model = create(name)
    model.fit(features.take(np.array([0])), np.ones(1), np.zeros(1, np.int32))
    assert np.isfinite(model.predict(features)).all()


def test_labels_on_the_scale_of_a_source_keep_their_order_and_never_grow() -> None:
    labels, task = np.array([1.0, 0.5, 1.0, 0.2]), np.array([3, 3, 8, 8], dtype=np.int32)
    expected = np.array([0.6, 0.3, 5.0, 5.0])
    np.testing.assert_allclose(on_the_scale_of(expected, labels, task), [0.6, 0.3, 1.0, 0.2])


def test_a_task_that_has_seen_only_slow_programs_is_not_taken_for_a_fast_one() -> None:
    """Overestimation (paper 3.3): the best of a few labels counts as 1, however slow it is."""
    pool = make_pool(tasks=4, programs=120, failures=False)
    y = relative_throughput(pool.latency_s, pool.task_of_program)
    slow = [i for i in pool.programs(0) if y[i] < 0.2][:20]
    known = np.array([*slow, *range(120, 480)])
    labels = y[known].copy()
    labels[:20] /= labels[:20].max()  # T_max as measured so far
    errors = {}
    for trusted in (0, 50):  # never corrected, corrected where there are fewer than 50 labels
        model = XGB(settings=replace(XGBSettings(), trusted=trusted))
        model.fit(pool.features.take(known), labels, pool.task_of_program[known])
        errors[trusted] = np.mean(model.predict(pool.features.take(np.array(slow))) - y[slow])
    assert errors[0] > 0.2
    assert abs(errors[50]) < 0.5 * errors[0]
