"""Quantile bins against numpy, and against what a tree can tell apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from balto.models.bins import Bins

TABLES = st.tuples(st.integers(1, 40), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-5, 5).map(float))
)


@given(TABLES, st.integers(2, 8))
@settings(max_examples=100, deadline=None)
def test_a_code_is_the_number_of_edges_below_the_value(table: np.ndarray, most: int) -> None:
    bins = Bins.of(table, most)
    codes = bins.encode(table[:, bins.columns])
    for c, column in enumerate(bins.columns):
        edges = bins.edges[c, : bins.widths[c] - 1]
        assert (np.diff(edges) > 0).all()
        assert np.isinf(bins.edges[c, bins.widths[c] - 1 :]).all()
        np.testing.assert_array_equal(codes[:, c], np.searchsorted(edges, table[:, column]))


@given(TABLES, st.integers(2, 256))
@settings(max_examples=100, deadline=None)
def test_few_distinct_values_have_a_bin_each(table: np.ndarray, most: int) -> None:
    bins = Bins.of(table, most)
    for width, column in zip(bins.widths, bins.columns, strict=True):
        distinct = len(np.unique(table[:, column]))
        assert width <= most
        if distinct <= most:
            assert width == distinct


def test_many_distinct_values_are_cut_into_about_equal_parts() -> None:
    table = np.random.default_rng(0).normal(size=(6400, 3)).astype(np.float32)
    bins = Bins.of(table, 64)
    codes = bins.encode(table)
    for c in range(3):
        counts = np.bincount(codes[:, c])
        assert len(counts) == 64
        assert counts.min() >= 98
        assert counts.max() <= 102


def test_constant_and_repeated_columns_are_left_out() -> None:
    x = np.arange(5, dtype=np.float32)
    table = np.stack([np.ones(5, np.float32), x, x**2, -x, x % 2], axis=1)
    assert Bins.of(table, 64).columns.tolist() == [1, 3, 4]
    assert Bins.of(np.ones((3, 2), np.float32), 64).columns.tolist() == [0]


def test_a_threshold_parts_exactly_the_bins_that_it_should() -> None:
    table = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    bins = Bins.of(table, 16)
    codes = bins.encode(table)
    for c in range(2):
        for code in range(16):
            threshold = bins.thresholds(np.array(c), np.array(code, np.uint8))
            np.testing.assert_array_equal(table[:, c] > threshold, codes[:, c] > code)
    assert bins.thresholds(np.array(0), np.array(255, np.uint8)) == np.inf
