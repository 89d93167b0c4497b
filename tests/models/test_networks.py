"""The networks' parts against naive versions of themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.models.losses import lambda_rank, squared_error
from balto.models.mlp import MLP, TenSetMLP
from balto.models.network import NetworkSettings
from balto.models.segments import pack, segment_sum
from balto.programs.features import COLUMNS, Features

stores = st.lists(st.integers(1, 6), min_size=1, max_size=12)


@given(stores, st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_packed_rows_sum_to_their_programs_forwards_and_backwards(counts, seed) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    values = rng.normal(size=(offsets[-1], 3))
    weights = rng.normal(size=(len(counts), 3))
    chosen = rng.permutation(len(counts))[: rng.integers(1, len(counts) + 1)]

    batch = pack(offsets, chosen)
    rows = torch.tensor(values, requires_grad=True)
    total = segment_sum(rows[torch.from_numpy(batch.rows)], batch.counts)
    (total * torch.tensor(weights[batch.programs])).sum().backward()

    assert sorted(batch.programs) == sorted(chosen)
    gradient = np.zeros_like(values)
    for place, program in enumerate(batch.programs):
        members = slice(offsets[program], offsets[program + 1])
        np.testing.assert_allclose(total[place].detach(), values[members].sum(0), atol=1e-12)
        gradient[members] = weights[program]
    np.testing.assert_allclose(rows.grad, gradient)


def naive_lambda_rank(scores, y, task) -> float:
    loss = 0.0
    for k in set(task):
        members = [i for i in range(len(y)) if task[i] == k]
        by_score = sorted(members, key=lambda i: -scores[i])
        discount = {i: math.log2(2 + rank) for rank, i in enumerate(by_score)}
        ideal = sorted((2 ** y[i] - 1 for i in members), reverse=True)
        best = sum(gain / math.log2(2 + rank) for rank, gain in enumerate(ideal))
        for i in members:
            for j in members:
                if y[i] > y[j]:
                    gain = abs(2 ** y[i] - 2 ** y[j]) / best
                    weight = gain * abs(1 / discount[i] - 1 / discount[j])
                    loss -= weight * math.log2(1 / (1 + math.exp(scores[j] - scores[i])))
    return loss


@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_lambda_rank_ranks_within_each_task(n: int, tasks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, task = rng.normal(size=n), rng.integers(0, tasks, n)
    y = rng.integers(1, 8, n) / 8  # with ties
    found = lambda_rank(*(torch.tensor(v) for v in (scores, y, task)))
    assert float(found) == pytest.approx(naive_lambda_rank(scores, y, task), rel=1e-5, abs=1e-6)


def test_the_squared_error_is_the_mean() -> None:
    scores, y = torch.tensor([0.25, 1.0]), torch.tensor([1.0, 0.25])
    assert float(squared_error(scores, y, y)) == pytest.approx(0.75**2)


def test_ranking_scores_become_relative_within_each_task() -> None:
    model = TenSetMLP()
    scores = np.array([3.0, 1.0, 2.0, 7.0, 7.0, -4.0])
    task = np.array([0, 0, 0, 5, 5, 9], dtype=np.int32)
    np.testing.assert_allclose(model.relative(scores, task), [1, 0, 0.5, 1, 1, 1])


def test_training_does_not_depend_on_the_threads_and_leaves_torch_as_it_was() -> None:
    rng = np.random.default_rng(0)
    features = Features.from_programs(rng.uniform(0, 8, (40, 2, COLUMNS)))
    y = rng.uniform(0.1, 1, 40)
    before, state = torch.get_num_threads(), torch.random.get_rng_state()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = MLP(settings=NetworkSettings(hidden=64, epochs=3))
            model.fit(features, y, np.zeros(40, np.int32))
            found.append(model.predict(features))
            assert torch.get_num_threads() == threads
            assert torch.equal(torch.random.get_rng_state(), state)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)
