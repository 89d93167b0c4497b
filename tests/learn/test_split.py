"""The held-out share and the budget: exact, and fixed by the seed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from balto.learn.split import allocate_budget, budget_by_round, held_out_indices, selection_rng


@given(st.integers(1, 500), st.floats(0, 0.99), st.integers(0, 99))
def test_a_share_is_held_out_and_something_stays_selectable(size, share, seed):
    held_out = held_out_indices(size, share, seed, "task")
    assert len(set(held_out)) == len(held_out) < size
    assert abs(len(held_out) - share * size) <= 1
    assert (held_out == held_out_indices(size, share, seed, "task")).all()


def test_another_seed_or_task_holds_out_other_programs():
    first = held_out_indices(100, 0.25, 0, "a").tolist()
    assert first != held_out_indices(100, 0.25, 1, "a").tolist()
    assert first != held_out_indices(100, 0.25, 0, "b").tolist()


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30), st.integers(0, 3000))
def test_the_budget_is_shared_out_exactly_and_in_proportion(sizes, budget):
    sizes = np.array(sizes)
    shares = allocate_budget(budget, sizes)
    assert shares.sum() == min(budget, sizes.sum())
    assert (shares <= sizes).all()
    assert (np.abs(shares - min(budget, sizes.sum()) * sizes / sizes.sum()) < 1).all()


@given(st.integers(0, 500), st.integers(1, 40))
def test_rounds_use_up_the_budget_evenly(budget, rounds):
    counts = budget_by_round(budget, rounds)
    assert len(counts) == rounds
    assert counts.sum() == budget
    assert (counts >= 0).all()
    if budget >= 2 * rounds:
        assert counts.max() - counts.min() <= 1


def test_selections_draw_independently_of_the_other_tasks():
    draw = selection_rng(3, 2, "matmul").integers(1 << 30)
    assert draw == selection_rng(3, 2, "matmul").integers(1 << 30)
    others = [
        selection_rng(*key).integers(1 << 30)
        for key in ((4, 2, "matmul"), (3, 1, "matmul"), (3, 2, "conv"))
    ]
    assert draw not in others
