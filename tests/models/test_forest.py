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
from balto.models.forest import PENALTY, Forest, Growth, grow

#: One tree a round that sees everything: nothing is left to chance.
PLAIN = Growth(rounds=8, members=1, row_share=1.0, column_share=1.0)


def predict(forest: Forest, table: np.ndarray) -> np.ndarray:
    return forest.base + forest.steps(table[:, forest.columns]).sum(axis=0)


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
    growth = replace(PLAIN, depth=depth, min_child_weight=least)
    forest = grow(bins, codes, target, weight, growth, seed=0)
    booster = xgboost.train(
        {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "max_bin": 64,
            "max_depth": depth,
            "eta": growth.eta,
            "min_child_weight": least,
            "lambda": PENALTY,
            "base_score": forest.base,
            "nthread": 1,
        },
        xgboost.DMatrix(table, target, weight=weight),
        num_boost_round=growth.rounds,
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
                gain = sum(g * g / (h + PENALTY) for g, h in sides)
                best = max(best, gain - total[0] ** 2 / (total[1] + PENALTY))
    return best


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.sampled_from([0.01, 0.5, 3.0]))
@settings(max_examples=60, deadline=None)
def test_the_first_split_is_the_best_of_all(seed: int, n: int, least: float) -> None:
    table, target, weight, bins, codes = problem(n, seed=seed)
    growth = replace(PLAIN, rounds=1, depth=1, eta=1.0, min_child_weight=least)
    forest = grow(bins, codes, target, weight, growth, seed=0)
    gradient = weight * (forest.base - target)
    right = table[:, forest.feature[0, 0, 0]] > forest.threshold[0, 0, 0]
    sides = [(gradient[s].sum(), weight[s].sum()) for s in (right, ~right)]
    gain = sum(g * g / (h + PENALTY) for g, h in sides)
    gain -= gradient.sum() ** 2 / (weight.sum() + PENALTY)
    assert gain == pytest.approx(naive_best_split(table, gradient, weight, least), abs=1e-5)
    assert not right.any() or min(h for _, h in sides) >= least - 1e-6
    for side, value in zip((~right, right), forest.value[0, 0], strict=True):
        if side.any():
            expected = -gradient[side].sum() / (weight[side].sum() + PENALTY)
            assert value == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_more_rounds_begin_with_the_fewer_and_boost_on_from_them(seed: int, rounds: int) -> None:
    table, target, weight, bins, codes = problem(80, seed=seed)
    growth = replace(Growth(), rounds=rounds, depth=3)
    whole = grow(bins, codes, target, weight, replace(growth, rounds=rounds + 2), seed=seed)
    first = grow(bins, codes, target, weight, growth, seed=seed)
    for name in ("feature", "threshold", "value"):
        np.testing.assert_array_equal(getattr(whole, name)[:rounds], getattr(first, name))
    start = predict(first, table)
    later = grow(bins, codes, target, weight, replace(growth, rounds=2), seed, start)
    joined = first.then(later)
    added = predict(later, table) - later.base
    np.testing.assert_allclose(predict(joined, table), start + added, atol=1e-6)


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
    steps = forest.steps(table[:, forest.columns])
    assert steps.shape == (Growth().members, len(table))
    for k in range(Growth().members):
        alone = Forest(
            forest.base,
            *(a[:, k : k + 1] for a in (forest.feature, forest.threshold, forest.value)),
        )
        np.testing.assert_array_equal(alone.steps(table[:, alone.columns])[0], steps[k])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_fixed_point_sums_hold_whatever_the_scale_of_the_weights(scale: float) -> None:
    _, target, weight, bins, codes = problem(2000)
    growth = replace(PLAIN, depth=3, min_child_weight=0.0)
    forest = grow(bins, codes, target, scale * weight, growth, seed=0)
    assert np.isfinite(forest.value).all()
    assert np.abs(forest.value).max() < 2 * np.abs(target).max()


def test_arrays_that_are_no_forest_are_refused() -> None:
    feature, threshold = np.zeros((2, 4, 3), np.uint16), np.zeros((2, 4, 3), np.float32)
    Forest(0.0, feature, threshold, np.zeros((2, 4, 4), np.float32))
    for value in (np.zeros((2, 4, 3), np.float32), np.zeros((2, 4, 4))):
        with pytest.raises(ValueError, match="no forest"):
            Forest(0.0, feature, threshold, value)
