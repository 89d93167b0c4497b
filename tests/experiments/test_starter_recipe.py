"""How the starter is made: programs near the best teach order, not level."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import balto
from experiments import starter

POOL = Path(__file__).resolve().parents[2] / "pools" / "epyc-avx2-gemm"


@pytest.fixture(scope="module")
def data():
    return starter.together([balto.read_pool(POOL)])


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


def part(pool, tasks, kept):
    """Some tasks of a pool, and of those the programs of which `kept` is true."""
    rows = [[i for i in pool.programs(k) if kept[i]] for k in tasks]
    every = np.concatenate(rows)
    return dataclasses.replace(
        pool,
        tasks=[pool.tasks[k] for k in tasks],
        offsets=np.cumsum([0, *map(len, rows)]),
        features=pool.features.take(every),
        outcomes=pool.outcomes.take(every),
        traces=[pool.traces[i] for i in every],
    )


def test_a_search_that_found_only_slow_programs_does_not_make_them_fast():
    pool = balto.read_pool(POOL)
    labels = np.zeros(len(pool))  # failures keep 0
    labels[pool.outcomes.ok] = starter.together([pool])[1]
    drawn = part(pool, range(0, 24, 2), np.full(len(pool), True))
    slow = part(pool, range(1, 24, 2), (labels > 0) & (labels < 0.5))
    features, best_is_1, task = starter.together([drawn, slow])
    judged = slow.features.select(starter.SETS)
    without, levelled, as_they_are = (
        np.log(np.maximum(model.predict(judged), 0.02)).mean()
        for model in (
            starter.train([drawn]),
            starter.train([drawn], near_best=[slow]),
            starter.fitted(features, best_is_1, task),
        )
    )
    assert abs(levelled - without) < abs(as_they_are - without) / 2
