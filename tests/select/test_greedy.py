"""The fast greedy picks what the literal O(B M^2) algorithms pick, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.select.farthest_first import farthest_first
from tests.select.naive import algorithm

FAMILIES = {
    "scores": lambda rng, size: rng.random(size),
    "few levels": lambda rng, size: rng.integers(0, 4, size) / 3,
    "rounded": lambda rng, size: np.round(rng.random(size), 2),
    "constant": lambda rng, size: np.full(size, rng.choice([0.0, 0.3, 1.0, -0.5])),
    "one stands out": lambda rng, size: np.where(np.arange(size) == rng.integers(size), 0.9, 0.1),
    "clipped": lambda rng, size: np.clip(rng.normal(0.2, 0.5, size), 0, 1),
    "of either sign": lambda rng, size: rng.normal(size=size),
    "integers of either sign": lambda rng, size: rng.integers(-3, 4, size).astype(float),
    "neighbouring floats": lambda rng, size: 0.5 + rng.integers(0, 9, size) * 2.0**-53,
    "geometric": lambda rng, size: 2.0 ** -rng.integers(0, 60, size),
    "huge": lambda rng, size: rng.uniform(-1, 1, size) * 1.7e308,
    "tiny": lambda rng, size: rng.integers(0, 9, size) * 5e-324,
}


def same_picks(f, labelled, budget, biased):
    with np.errstate(over="ignore"):
        expected = algorithm(f, labelled.tolist(), budget, biased=biased)
    assert farthest_first(f, labelled, budget, biased=biased).tolist() == expected


@pytest.mark.parametrize("biased", [False, True], ids=["Algorithm 1", "Algorithm 2"])
@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), single=st.booleans())
def test_equals_the_literal_algorithm(family, biased, seed, single):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 40))
    f = FAMILIES[family](rng, size)
    if single and family not in ("huge", "tiny"):
        f = f.astype(np.float32)
    labelled = rng.permutation(size)[: rng.integers(0, size)]
    same_picks(f, labelled, int(rng.integers(1, size - len(labelled) + 1)), biased)


@pytest.mark.parametrize("biased", [False, True])
@settings(max_examples=100, deadline=None)
@given(
    f=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=15),
    data=st.data(),
)
def test_equals_the_literal_algorithm_on_any_finite_numbers(biased, f, data):
    labelled = data.draw(st.lists(st.integers(0, len(f) - 1), unique=True, max_size=len(f) - 1))
    same_picks(np.array(f), np.array(labelled, dtype=np.int64), len(f) - len(labelled), biased)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(
    ("size", "labels", "budget"), [(600, 150, 20), (150, 40, 80), (150, 5, 145)]
)
@pytest.mark.parametrize("levels", [None, 50], ids=["distinct", "ties"])
def test_equals_the_literal_algorithm_in_a_deep_heap_of_gaps(size, labels, budget, levels, biased):
    rng = np.random.default_rng(0)
    f = rng.random(size) if levels is None else rng.integers(0, levels, size) / levels
    same_picks(f, rng.permutation(size)[:labels], budget, biased)


@pytest.mark.parametrize("biased", [False, True])
def test_all_but_one_labelled(biased):
    f, labelled = np.random.default_rng(1).random(50), np.delete(np.arange(50), 17)
    assert farthest_first(f, labelled, 5, biased=biased).tolist() == [17]


def test_more_than_is_left_gives_all_that_is_left():
    picks = farthest_first(np.linspace(0, 1, 9), np.array([3, 4]), 100, biased=True)
    assert sorted(picks.tolist()) == [0, 1, 2, 5, 6, 7, 8]


def test_nothing_labelled_ties_go_to_the_lowest_index():
    f = np.array([0.0, 0.2, 0.9, 0.2])
    none = np.empty(0, dtype=np.int64)
    assert farthest_first(f, none, 2, biased=False).tolist() == [0, 2]
    assert farthest_first(f, none, 2, biased=True).tolist() == [1, 2]


def test_a_strided_view_is_as_good_as_a_copy():
    f = np.random.default_rng(2).random(100)
    labelled = np.arange(5)
    expected = farthest_first(f[::2].copy(), labelled, 10, biased=True)
    assert farthest_first(f[::2], labelled, 10, biased=True).tolist() == expected.tolist()
