"""A Gaussian process on a forest's leaves, against scikit-learn's and its own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel

import balto
from balto.search.surrogate import ERROR, LEVEL, NOISE, Belief, Judged
from balto.testing.models import labelled_programs

FEATURES, Y, TASK = labelled_programs(n=90)


@pytest.fixture(scope="module")
def forest() -> balto.models.XGB:
    model = balto.models.XGB()
    model.fit(FEATURES, Y, TASK)
    return model


@pytest.fixture(scope="module")
def programs(forest: balto.models.XGB) -> Judged:
    return Belief(forest).judge(FEATURES)


class Leaves(Kernel):
    """The covariance as the module's docstring has it, for rows of a task and leaves."""

    def __init__(self):
        """Scikit-learn asks the signature for parameters: there are none."""

    def __call__(self, x, y=None, eval_gradient=False):
        assert not eval_gradient
        y = x if y is None else y
        share = (x[:, None, 1:] == y[None, :, 1:]).mean(axis=2)
        return ERROR**2 * share + LEVEL**2 * (x[:, None, 0] == y[None, :, 0])

    def diag(self, x):
        return np.diag(self(x))

    def is_stationary(self):
        return False


def rows(task: np.ndarray, programs: Judged) -> np.ndarray:
    return np.column_stack([task, programs.leaves])


def levels(known, task, latency_s, programs):
    """How much faster the tasks' programs were than expected, on average."""
    wrong = -np.log(latency_s) - programs.expected[known]
    return np.array([wrong[task == k].mean() if (task == k).any() else 0 for k in range(3)])


def by_sklearn(known, task, latency_s, programs, level):
    """Mean and deviation of all `programs` as task 0's, after trials of some tasks."""
    trials = programs.take(known)
    wrong = -np.log(latency_s) - trials.expected
    process = GaussianProcessRegressor(Leaves(), alpha=NOISE**2, optimizer=None)
    process.fit(rows(task, trials), wrong - level[task])
    mean, deviation = process.predict(rows(np.zeros(len(programs)), programs), return_std=True)
    return programs.expected + level[0] + mean, deviation


def learnt(forest, programs, known, task, latency_s) -> Belief:
    belief = Belief(forest)
    for k in range(3):
        belief.learn(k, programs.take(known[task == k]), latency_s[task == k])
    return belief


def test_before_any_trial_it_expects_what_the_forest_predicts(forest, programs):
    expected = np.exp(Belief(forest).expect("a", programs))
    np.testing.assert_allclose(expected, np.maximum(forest.predict(FEATURES), 0.02))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_it_expects_what_scikit_learn_does(forest, programs, seed):
    rng = np.random.default_rng(seed)
    known = rng.permutation(len(programs))[: rng.integers(3, 40)]
    task = rng.integers(0, 3, len(known))
    task[0] = 0
    latency_s = rng.uniform(1e-5, 1e-3, len(known))
    belief = learnt(forest, programs, known, task, latency_s)
    level = levels(known, task, latency_s, programs)
    mean, _ = by_sklearn(known, task, latency_s, programs, level)
    np.testing.assert_allclose(belief.expect(0, programs), mean, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(1, 6))
def test_it_chooses_the_largest_expected_improvements_one_by_one(forest, programs, seed, count):
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(programs))
    known, free = shuffled[:12], shuffled[12:]
    task = rng.integers(0, 3, len(known))
    task[0] = 0
    latency_s = 1e-4 / Y[known]
    chosen = learnt(forest, programs, known, task, latency_s).choose(0, programs.take(free), count)
    best = -np.log(latency_s[task == 0].min())
    level = levels(known, task, latency_s, programs)
    said, of, now, left = known, task, latency_s, free
    for pick in chosen:
        mean, deviation = by_sklearn(said, of, now, programs, level)
        z = (mean[left] - best) / deviation[left]
        below = np.array([0.5 * math.erfc(-each / math.sqrt(2)) for each in z])
        improvement = deviation[left] * (z * below + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
        took = improvement[np.flatnonzero(left == free[pick])[0]]
        assert took == pytest.approx(improvement.max(), rel=1e-3, abs=1e-9)
        # As if it had come out as expected.
        said, of = np.append(said, free[pick]), np.append(of, 0)
        now = np.append(now, np.exp(-mean[free[pick]]))
        left = left[left != free[pick]]
    assert len(set(chosen.tolist())) == count


@settings(max_examples=20, deadline=None)
@given(unit=st.floats(1e-3, 1e3), other=st.floats(1e-3, 1e3))
def test_the_unit_of_a_tasks_latency_does_not_matter(forest, programs, unit, other):
    known, task = np.arange(20), np.arange(20) % 2
    latency_s = 1e-4 / Y[known]
    rest = programs.take(np.arange(20, len(programs)))
    before = learnt(forest, programs, known, task, latency_s)
    scaled = np.where(task == 0, unit, other) * latency_s
    after = learnt(forest, programs, known, task, scaled)
    moved = after.expect(0, rest) - before.expect(0, rest)
    np.testing.assert_allclose(moved, -math.log(unit), atol=1e-6)


def test_what_was_slower_than_expected_makes_its_like_slower(forest, programs):
    known = np.arange(10)
    latency_s = np.exp(-programs.expected[known])
    latency_s[3] *= 2
    belief = Belief(forest)
    belief.learn("a", programs.take(known), latency_s)
    moved = belief.expect("a", programs) - programs.expected
    alike = (programs.leaves == programs.leaves[3]).mean(axis=1)
    unknown = np.arange(10, len(programs))
    assert np.corrcoef(alike[unknown], moved[unknown])[0, 1] < -0.5


def test_a_copy_of_a_chosen_program_promises_nothing_more(forest, programs):
    best = int(np.argmax(programs.expected))
    others = np.argsort(-programs.expected)[1:8]
    copies = programs.take(np.array([best, best, best, *others]))
    chosen = Belief(forest).choose("a", copies, 4)
    assert sum(int(each) < 3 for each in chosen) <= 1


@pytest.mark.parametrize("trials", [0, 3])
def test_where_nothing_is_left_it_chooses_nothing(forest, programs, trials):
    belief = Belief(forest)
    belief.learn("a", programs.take(np.arange(trials)), np.ones(trials))
    assert not len(belief.choose("a", programs.take(np.arange(0)), 4))
    assert sorted(belief.choose("a", programs.take(np.arange(3)), 4)) == [0, 1, 2]


def test_failures_teach_nothing(forest, programs):
    belief = Belief(forest)
    belief.learn("a", programs.take(np.arange(3)), np.full(3, np.nan))
    np.testing.assert_array_equal(belief.expect("a", programs), programs.expected)


def test_of_very_many_trials_the_latest_of_the_task_count(forest, programs, monkeypatch):
    monkeypatch.setattr("balto.search.surrogate._TRIALS", 4)
    many, few = Belief(forest), Belief(forest)
    seconds = 1e-4 / Y
    for task, each in (("a", 3), ("b", 9), ("a", 5), ("b", 8), ("a", 1), ("a", 2)):
        many.learn(task, programs.take(np.array([each])), seconds[[each]])
    for each in (3, 5, 1, 2):
        few.learn("a", programs.take(np.array([each])), seconds[[each]])
    np.testing.assert_allclose(many.expect("a", programs), few.expect("a", programs))
