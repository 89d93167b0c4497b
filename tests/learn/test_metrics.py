"""Top-k, pairwise accuracy and RMSE against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import kendalltau

from balto.learn.metrics import (
    evaluate,
    network_top_k,
    pairwise_accuracy,
    relative_throughput,
    top_k,
)

labels_and_scores = st.integers(2, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(float, n, elements=st.floats(0.01, 1.0)),
        hnp.arrays(float, n, elements=st.floats(-2.0, 2.0)),
    )
)


def test_a_small_case_by_hand():
    scores = np.array([0.9, 0.1, 0.8, 0.5])
    labels = np.array([0.4, 1.0, 0.8, 0.2])
    assert top_k(scores, labels, 1) == 0.4
    assert top_k(scores, labels, 2) == 0.8
    assert top_k(scores, labels, 2, average=True) == pytest.approx(0.6)
    # Of the six pairs, 0.9-0.5, 0.8-0.5 are right, the other four wrong.
    assert pairwise_accuracy(scores, labels) == pytest.approx(2 / 6)


@given(labels_and_scores)
def test_top_k_grows_with_k_and_all_programs_give_1(case):
    labels, scores = case
    values = [top_k(scores, labels, k) for k in range(1, len(labels) + 1)]
    assert values == sorted(values)
    assert values[-1] == 1.0


@given(labels_and_scores)
def test_the_labels_as_scores_are_a_perfect_model(case):
    labels, _ = case
    assert top_k(labels, labels, 1) == 1.0
    accuracy = pairwise_accuracy(labels, labels)
    assert math.isnan(accuracy) if len(set(labels)) == 1 else accuracy == 1.0


@given(st.integers(0, 1000))
def test_pairwise_accuracy_is_kendalls_tau_rescaled(seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.permutation(20) / 20, rng.normal(size=20)
    tau = kendalltau(scores, labels).statistic
    assert pairwise_accuracy(scores, labels) == pytest.approx((tau + 1) / 2)


def test_a_failed_program_has_throughput_0_and_ties_go_to_the_lowest_index():
    task = np.zeros(3, np.int32)
    latency = np.array([np.nan, 2e-3, 1e-3])
    assert relative_throughput(latency, task).tolist() == [0.0, 0.5, 1.0]
    accuracy, _ = evaluate(np.zeros(3), np.zeros(3), latency, task)
    assert accuracy.top1 == 0.0  # the failed one comes first


def test_a_task_without_any_measured_program_is_left_out():
    task = np.array([0, 0, 1, 1], np.int32)
    latency = np.array([np.nan, np.nan, 1e-3, 2e-3])
    accuracy, tasks = evaluate(np.array([0, 1, 1, 0.0]), np.zeros(4), latency, task)
    assert list(tasks) == [1]
    assert accuracy.top1 == 1.0


def test_network_top_k_weights_latencies():
    task = np.array([0, 0, 1, 1], np.int32)
    latency = np.array([1.0, 2.0, 10.0, 30.0])
    scores = np.array([0.0, 1.0, 1.0, 0.0])  # wrong in task 0, right in task 1
    weight = np.array([3.0, 1.0])
    assert network_top_k(scores, latency, task, weight, 1) == pytest.approx((3 + 10) / (6 + 10))
    assert network_top_k(scores, latency, task, weight, 2) == 1.0
