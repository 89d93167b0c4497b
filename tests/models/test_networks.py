"""The networks' parts against naive versions of themselves."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.data.features import STORE, Features, FeatureTable
from balto.models.losses import lambda_rank, squared_error
from balto.models.mlp import MLP, TenSetMLP
from balto.models.segments import pack, segment_sum

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


def naive_lambda_rank(scores: torch.Tensor, y, task) -> torch.Tensor:
    """The loss, pair by pair; only the difference of the scores is differentiated."""
    loss = torch.zeros((), dtype=scores.dtype)
    for k in set(task):
        members = [i for i in range(len(y)) if task[i] == k]
        by_score = sorted(members, key=lambda i: -float(scores[i].detach()))
        discount = {i: math.log2(2 + rank) for rank, i in enumerate(by_score)}
        ideal = sorted((2 ** y[i] - 1 for i in members), reverse=True)
        best = sum(gain / math.log2(2 + rank) for rank, gain in enumerate(ideal))
        for i in members:
            for j in members:
                if y[i] > y[j]:
                    gain = abs(2 ** y[i] - 2 ** y[j]) / best
                    weight = gain * abs(1 / discount[i] - 1 / discount[j])
                    loss = loss - weight * torch.log2(torch.sigmoid(scores[i] - scores[j]))
    return loss


@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_lambda_rank_ranks_within_each_task(n: int, tasks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, task = rng.normal(size=n).astype(np.float32), rng.integers(0, tasks, n, np.int32)
    y = (rng.integers(1, 8, n) / 8).astype(np.float32)  # with ties
    differentiated = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    (naive_lambda_rank(differentiated, y, task) + 0 * differentiated.sum()).backward()
    found = lambda_rank(scores, y, task)
    np.testing.assert_allclose(found, differentiated.grad, rtol=1e-4, atol=1e-6)


def test_far_scores_have_a_finite_gradient() -> None:
    scores, y = np.array([-1e4, 1e4, 0.0], np.float32), np.array([1.0, 0.5, 0.2], np.float32)
    assert np.isfinite(lambda_rank(scores, y, np.zeros(3, np.int32))).all()


def test_the_squared_error_is_the_mean() -> None:
    scores, y = torch.tensor([0.25, 1.0], requires_grad=True), torch.tensor([1.0, 0.25])
    torch.nn.functional.mse_loss(scores, y).backward()
    found = squared_error(scores.detach().numpy(), y.numpy(), np.zeros(2, np.int32))
    np.testing.assert_allclose(found, scores.grad)


def test_ranking_scores_become_relative_within_each_task() -> None:
    model = TenSetMLP()
    scores = np.array([3.0, 1.0, 2.0, 7.0, 7.0, -4.0])
    task = np.array([0, 0, 0, 5, 5, 9], dtype=np.int32)
    np.testing.assert_allclose(model.to_relative_throughput(scores, task), [1, 0, 0.5, 1, 1, 1])


def test_training_does_not_depend_on_the_threads_and_leaves_torch_as_it_was() -> None:
    rng = np.random.default_rng(0)
    programs = rng.uniform(0, 8, (40, 2, STORE.width))
    features = FeatureTable({"store": Features.from_programs(programs)})
    y = rng.uniform(0.1, 1, 40)
    before, state = torch.get_num_threads(), torch.random.get_rng_state()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = MLP(hidden=64, epochs=3)
            model.fit(features, y, np.zeros(40, np.int32))
            found.append(model.predict(features))
            assert torch.get_num_threads() == threads
            assert torch.equal(torch.random.get_rng_state(), state)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)
