"""The boosted forest against XGBoost's library and its own definition."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.models.bins import Bins
from balto.models.forest import Forest, Growth, add_steps, find_leaves, grow

#: Two trees a round that see everything: nothing is left to chance, and both are the same.
PLAIN = Growth(num_boost_round=8, num_parallel_tree=2, subsample=1.0, colsample_bytree=1.0)


def steps_of(forest: Forest, table: np.ndarray) -> np.ndarray:
    steps = np.zeros((forest.value.shape[1], len(table)))
    columns = np.ascontiguousarray(table.T[forest.columns])
    add_steps(columns, 0, len(table), *forest.trees, steps)
    return steps


def predict(forest: Forest, table: np.ndarray) -> np.ndarray:
    return forest.base + steps_of(forest, table).sum(axis=0)


def problem(n: int = 300, columns: int = 5, seed: int = 0):
    """A table of few distinct values, a target that depends on it, weights, and its bins."""
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 12, (n, columns)).astype(np.float32)
    target = np.sin(table[:, 0]) + 0.1 * table[:, -1] + rng.normal(0, 0.1, n)
    bins = Bins.of(table, 64)
    return table, target, rng.uniform(0.05, 1, n), bins, bins.encode(table[:, bins.columns])


@pytest.mark.parametrize("depth", [1, 3, 6])
@pytest.mark.parametrize("least", [0.3, 5.0])
def test_without_chance_it_is_what_xgboost_grows(depth: int, least: float) -> None:
    table, target, weight, bins, codes = problem()
    growth = replace(PLAIN, max_depth=depth, min_child_weight=least)
    forest = grow(bins, codes, target, weight, growth, seed=0)
    booster = xgboost.train(
        {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "max_bin": 64,
            "max_depth": depth,
            "eta": growth.learning_rate,
            "num_parallel_tree": growth.num_parallel_tree,
            "min_child_weight": least,
            "lambda": growth.reg_lambda,
            "base_score": forest.base,
            "nthread": 1,
        },
        xgboost.DMatrix(table, target, weight=weight),
        num_boost_round=growth.num_boost_round,
    )
    theirs = booster.predict(xgboost.DMatrix(table))
    np.testing.assert_allclose(predict(forest, table), theirs, atol=2e-4)


def naive_best_split(table, gradient, weight, least):
    """The gain of the best split of all rows, every cut of every column tried."""
    best, total = 0.0, (gradient.sum(), weight.sum())
    for column in table.T:
        for cut in np.unique(column)[:-1]:
            left = column <= cut
            sides = [(gradient[s].sum(), weight[s].sum()) for s in (left, ~left)]
            if min(h for _, h in sides) >= least:
                gain = sum(g * g / (h + PLAIN.reg_lambda) for g, h in sides)
                best = max(best, gain - total[0] ** 2 / (total[1] + PLAIN.reg_lambda))
    return best


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.sampled_from([0.01, 0.5, 3.0]))
@settings(max_examples=60, deadline=None)
def test_the_first_split_is_the_best_of_all(seed: int, n: int, least: float) -> None:
    table, target, weight, bins, codes = problem(n, seed=seed)
    growth = replace(
        PLAIN, num_boost_round=1, max_depth=1, learning_rate=1.0, min_child_weight=least
    )
    forest = grow(bins, codes, target, weight, growth, seed=0)
    gradient = weight * (forest.base - target)
    right = table[:, forest.feature[0, 0, 0]] > forest.threshold[0, 0, 0]
    sides = [(gradient[s].sum(), weight[s].sum()) for s in (right, ~right)]
    gain = sum(g * g / (h + PLAIN.reg_lambda) for g, h in sides)
    gain -= gradient.sum() ** 2 / (weight.sum() + PLAIN.reg_lambda)
    assert gain == pytest.approx(naive_best_split(table, gradient, weight, least), abs=1e-5)
    assert not right.any() or min(h for _, h in sides) >= least - 1e-6
    np.testing.assert_array_equal(forest.value[0, 0], forest.value[0, 1])
    for side, value in zip((~right, right), forest.value[0].sum(axis=0), strict=True):
        if side.any():
            expected = -gradient[side].sum() / (weight[side].sum() + PLAIN.reg_lambda)
            assert value == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_more_rounds_begin_with_the_fewer(seed: int, rounds: int) -> None:
    _, target, weight, bins, codes = problem(80, seed=seed)
    growth = Growth(num_boost_round=rounds, max_depth=3)
    more = replace(growth, num_boost_round=rounds + 2)
    whole = grow(bins, codes, target, weight, more, seed=seed)
    first = grow(bins, codes, target, weight, growth, seed=seed)
    for name in ("feature", "threshold", "value"):
        np.testing.assert_array_equal(getattr(whole, name)[:rounds], getattr(first, name))


def test_a_prediction_is_the_sum_of_what_its_leaves_hold() -> None:
    table, target, weight, bins, codes = problem()
    forest = grow(bins, codes, target, weight, Growth(num_boost_round=8), seed=0)
    place, threshold, value = forest.trees
    leaves = np.empty((len(table), len(place)), np.uint16)
    find_leaves(table[:, forest.columns], place, threshold, leaves)
    held = value[np.arange(len(place)), leaves].sum(axis=1, dtype=np.float64)
    np.testing.assert_allclose(forest.base + held, predict(forest, table), rtol=1e-5)


def test_the_number_of_threads_changes_nothing(monkeypatch) -> None:
    table, target, weight, bins, codes = problem(500)
    forests = []
    for cores in (1, 3, 16):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        forests.append(grow(bins, codes, target, weight, Growth(), seed=1))
    for forest in forests[1:]:
        for name in ("base", "feature", "threshold", "value"):
            np.testing.assert_array_equal(getattr(forest, name), getattr(forests[0], name))
    other = grow(bins, codes, target, weight, Growth(), seed=2)
    assert (predict(other, table) != predict(forests[0], table)).any()


def test_each_member_is_one_tree_of_every_round() -> None:
    table, target, weight, bins, codes = problem()
    forest = grow(bins, codes, target, weight, Growth(), seed=0)
    steps = steps_of(forest, table)
    assert steps.shape == (Growth().num_parallel_tree, len(table))
    for k in range(Growth().num_parallel_tree):
        alone = Forest(
            forest.base,
            *(a[:, k : k + 1] for a in (forest.feature, forest.threshold, forest.value)),
        )
        np.testing.assert_array_equal(steps_of(alone, table)[0], steps[k])


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.37, 1e3, 1e6])
def test_the_scale_of_the_weights_changes_nothing(scale: float) -> None:
    """Sums are in fixed point: the unit follows the weights, so their scale costs no precision.

    Where penalty and least weight of a leaf are scaled with them, the same forest is grown. Down
    to weights of a millionth, which is under a label's square of a thousandth.
    """
    table, target, weight, bins, codes = problem(2000)
    growth = replace(PLAIN, max_depth=3, min_child_weight=5.0)
    scaled = replace(growth, min_child_weight=5.0 * scale, reg_lambda=scale)
    ours = predict(grow(bins, codes, target, weight, growth, seed=0), table)
    theirs = predict(grow(bins, codes, target, scale * weight, scaled, seed=0), table)
    assert np.std(ours) > 0.3  # it has learnt something
    np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_arrays_that_are_no_forest_are_refused() -> None:
    feature, threshold = np.zeros((2, 4, 3), np.uint16), np.zeros((2, 4, 3), np.float32)
    Forest(0.0, feature, threshold, np.zeros((2, 4, 4), np.float32))
    for value in (np.zeros((2, 4, 3), np.float32), np.zeros((2, 4, 4))):
        with pytest.raises(ValueError, match="no forest"):
            Forest(0.0, feature, threshold, value)
