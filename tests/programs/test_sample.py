"""Random programs: distinct, with features, the same for a seed in another process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.measure.worker import Worker, WorkerDied, WorkerRaised
from balto.programs.features import COLUMNS, Features
from balto.tasks import extract_tasks

SAMPLE = "balto.programs.sample:sample_in_worker"


@pytest.fixture(scope="module")
def tasks():
    """A matrix product, and a softmax whose space is small."""
    return extract_tasks(operator_specs=["matmul:64x64x64", "max_pool2d_nchw:1x4x4x1x1"]).tasks


def draw(task, count, seed):
    with Worker() as worker:
        return worker.call(SAMPLE, task.module, task.target, count, seed, deadline_s=120)


def test_programs_are_distinct_have_features_and_are_fixed_by_the_seed(tasks):
    first, again, other = (draw(tasks[0], 20, seed) for seed in (5, 5, 6))
    assert len(set(first.traces)) == len(first.features) == 20
    assert all(f.shape[1] == COLUMNS and np.isfinite(f).all() for f in first.features)
    assert first.traces == again.traces
    assert all((a == b).all() for a, b in zip(first.features, again.features, strict=True))
    assert first.traces != other.traces


@pytest.mark.slow
def test_a_small_space_gives_all_that_it_has(tasks):
    sampled = draw(tasks[1], 2000, 0)
    assert 1 < len(sampled.traces) < 2000


def test_a_module_that_tvm_cannot_sample_costs_that_call_alone(tasks):
    with Worker() as worker:
        with pytest.raises((WorkerRaised, WorkerDied)):
            worker.call(SAMPLE, "{}", tasks[0].target, 4, 0, deadline_s=120)
        sampled = worker.call(SAMPLE, tasks[0].module, tasks[0].target, 4, 0, deadline_s=120)
        assert len(sampled.traces) == 4


stores = st.lists(st.integers(1, 5), min_size=1, max_size=8)


def ragged(counts):
    rows = np.arange(sum(counts) * COLUMNS, dtype=np.float32).reshape(-1, COLUMNS)
    return np.split(rows, np.cumsum(counts)[:-1])


@given(stores)
def test_features_hold_what_went_in(counts):
    programs = ragged(counts)
    features = Features.from_programs(programs)
    assert features.stores.tolist() == counts
    for i, rows in enumerate(programs):
        np.testing.assert_array_equal(features[i], rows)


@given(stores, st.data())
def test_take_slice_and_concatenate_are_list_indexing(counts, data):
    programs = ragged(counts)
    features = Features.from_programs(programs)
    chosen = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=10))
    taken = features.take(np.array(chosen, dtype=np.int64))
    assert [t.tolist() for t in (taken[i] for i in range(len(taken)))] == [
        programs[i].tolist() for i in chosen
    ]
    cut = data.draw(st.integers(0, len(counts)))
    parts = [features.slice(0, cut), features.slice(cut, len(counts))]
    joined = Features.concatenate(parts)
    np.testing.assert_array_equal(joined.rows, features.rows)
    np.testing.assert_array_equal(joined.offsets, features.offsets)
    expected = np.repeat(np.arange(len(counts)), counts)
    np.testing.assert_array_equal(features.program_of_row, expected)
