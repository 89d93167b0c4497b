"""The correction of T_max: the best of a few labels is not taken for the best there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.data.features import STORE, Features, FeatureTable
from balto.learn.metrics import relative_throughput
from balto.learn.tmax import TMaxEstimator
from balto.models import create
from balto.models.base import CostModel
from balto.testing import made_up_pool

NAMES = (STORE.name,)


class Saying(CostModel):
    """A model of another device that says what it is told to say."""

    name = "saying"

    def __init__(self, scores):
        super().__init__()
        self.scores = np.array(scores)

    def fit(self, features, relative_throughput, task):  # noqa: ARG002
        raise AssertionError("a model to start from is asked, not trained")

    def predict(self, features):  # noqa: ARG002
        return self.scores

    ensemble = state = from_state = predict


def rows(n):
    return FeatureTable({"store": Features.from_programs(np.zeros((n, 1, STORE.width)))})


def judged_by(scores, labels, task, **changes):
    """The labels, corrected by what a model to start from says."""
    labels, task = np.array(labels), np.array(task, np.int32)
    given = (rows(len(labels)), labels, task, NAMES, 0, Saying(scores))
    return TMaxEstimator(**changes).shares(*given) * labels


def test_labels_on_the_scale_of_another_model_keep_their_order_and_never_grow():
    corrected = judged_by([0.6, 0.3, 5.0, 5.0], [1.0, 0.5, 1.0, 0.2], [3, 3, 8, 8])
    np.testing.assert_allclose(corrected, [0.6, 0.3, 1.0, 0.2])


def test_a_share_is_the_one_that_brings_the_roots_closest_to_what_is_expected():
    rng = np.random.default_rng(0)
    labels, scores = rng.uniform(0.1, 1, 9), rng.uniform(0, 0.3, 9)
    corrected = judged_by(scores, labels, [0] * 9)
    share = corrected[0] / labels[0]

    def error(factor):
        return np.sum((factor * np.sqrt(labels) - np.sqrt(scores)) ** 2)

    assert error(share**0.5) <= min(error(f) for f in np.linspace(0.1, 1, 10_001)) + 1e-9


def test_no_share_is_smaller_than_the_least():
    np.testing.assert_allclose(judged_by([0.0, 0.0], [1.0, 0.5], [0, 0]), [0.01, 0.005])
    np.testing.assert_allclose(judged_by([0.0, 0.0], [1.0, 0.5], [0, 0], least=0.5), [0.25, 0.125])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_shares_are_one_a_task_in_their_range_and_one_where_labels_are_many(counts, seed):
    """Without such a model; each task has its own number of labels, in any order."""
    rng = np.random.default_rng(seed)
    task = rng.permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    labels, n = rng.uniform(0.01, 1, sum(counts)), sum(counts)
    table = {"store": Features.from_programs(rng.uniform(0, 8, (n, 1, STORE.width)))}
    shares = TMaxEstimator().shares(FeatureTable(table), labels, task, NAMES, 0)
    assert shares.shape == (n,)
    assert ((shares >= 0.01) & (shares <= 1)).all()
    for k, count in enumerate(counts):
        assert len(np.unique(shares[task == k])) == 1
        if count >= 50 or len(counts) == 1:
            np.testing.assert_allclose(shares[task == k], 1.0)


@pytest.mark.parametrize("name", ["xgb", "xgb-tenset"])
def test_a_task_that_has_seen_only_slow_programs_is_not_taken_for_a_fast_one(name):
    """Overestimation (paper 3.3): the best of a few labels counts as 1, however slow it is."""
    pool = made_up_pool(tasks=4, programs=120, failures=False)
    y = relative_throughput(pool.latency_s, pool.task_of_program)
    slow = [i for i in pool.programs(0) if y[i] < 0.2][:20]
    known = np.array([*slow, *range(120, 480)])
    labels, task = y[known].copy(), pool.task_of_program[known]
    labels[:20] /= labels[:20].max()  # T_max as measured so far
    features, errors = pool.features.take(known), {}
    for trusted in (0, 50):  # never corrected, corrected where there are fewer than 50 labels
        shares = TMaxEstimator(trusted=trusted).shares(features, labels, task, NAMES, 0)
        np.testing.assert_allclose(shares[20:], 1.0)
        model = create(name)
        model.fit(features, shares * labels, task)
        errors[trusted] = np.mean(model.predict(pool.features.take(np.array(slow))) - y[slow])
    assert errors[0] > 0.2
    assert abs(errors[50]) < 0.5 * errors[0]
