"""Pooled program features against the sentence that defines them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.data.features import STORE, Features
from balto.models.pooled import POOLED_COLUMNS, pool_stores


def naive(rows: np.ndarray) -> np.ndarray:
    work = [(row[:7].max(), row[161]) for row in rows]
    main = work.index(max(work))
    whole = np.log2(np.exp2(rows.astype(np.float64)).sum(axis=0))
    return np.concatenate([whole, rows[main], [len(rows)]])


@given(st.lists(st.integers(1, 6), max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_it_is_the_linear_sum_the_main_store_and_the_count(stores: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    programs = [rng.integers(0, 4, (s, STORE.width)).astype(np.float32) for s in stores]
    pooled = pool_stores(Features.from_programs(programs))
    assert pooled.shape == (len(programs), POOLED_COLUMNS)
    assert pooled.dtype == np.float32
    for row, program in zip(pooled, programs, strict=True):
        np.testing.assert_allclose(row, naive(program), rtol=1e-6)


@given(st.sets(st.integers(0, POOLED_COLUMNS - 1), min_size=1), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_some_columns_are_those_of_all(columns: set[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = Features.from_programs(
        rng.integers(0, 4, (rng.integers(1, 5), STORE.width)) for _ in range(5)
    )
    chosen = np.array(sorted(columns))
    np.testing.assert_array_equal(pool_stores(features, chosen), pool_stores(features)[:, chosen])
