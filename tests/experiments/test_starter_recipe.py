"""How the starter is made: programs near the best teach order, not level."""

import numpy as np
import pytest

import balto
from experiments import starter


@pytest.fixture(scope="module")
def data():
    return starter.together([balto.read_pool("pools/epyc-avx2-gemm")])


@pytest.fixture(scope="module")
def model(data):
    features, labels, task = data
    model = balto.models.XGB(seed=0)
    model.fit(features, labels, task)
    return model


def test_levelled_labels_are_on_average_what_the_model_predicts_and_none_above_1(data, model):
    features, labels, task = data
    some = np.flatnonzero((labels > 0.6) | (task % 2 == 0))  # of slow programs it expects too much
    features, labels, task = features.take(some), labels[some], task[some]
    said = model.predict(features)
    found = starter.levelled(model, features, labels, task)
    levels = [np.exp(np.log(said / labels)[task == t].mean()) for t in range(task.max() + 1)]
    assert 0 < sum(level > 1 for level in levels) < len(levels)  # both cases are here
    assert found == pytest.approx(labels * np.minimum(levels, 1)[task])


def test_tasks_of_two_parts_are_not_mixed_up(data):
    features, labels, task = data
    half = len(labels) // 2
    parts = [
        (features.take(np.arange(a, b)), labels[a:b], task[a:b])
        for a, b in ((0, half), (half, len(labels)))
    ]
    both = starter.fitted(parts)
    assert np.array_equal(both.predict(features), starter.fitted([data]).predict(features))
