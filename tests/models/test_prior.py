"""How far a model leans on its sources: as the labels that it was not shown say."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from balto.models.prior import ENOUGH, FOLDS, WORTH, Prior, _top1, folds

TASKS, LABELS = 12, 20


def world(skill_of_source: float, skill_of_model: float, seed: int = 0):
    """What a source, a model and copies of it that did not see the labels say of some programs."""
    rng = np.random.default_rng(seed)
    y = rng.random(TASKS * LABELS)
    task = np.repeat(np.arange(TASKS, dtype=np.int32), LABELS)

    def guess(skill: float) -> np.ndarray:
        return skill * y + (1 - skill) * rng.random(len(y))

    return guess(skill_of_source).astype(np.float32)[:, None], y, guess(skill_of_model), y, task


def test_the_better_one_of_the_two_gets_the_weight():
    said, own, unseen, y, task = world(0.9, 0.05)
    assert Prior.of(said, own, unseen, y, task).weight > 0.9
    said, own, unseen, y, task = world(0.05, 0.9)
    prior = Prior.of(said, own, unseen, y, task)
    assert prior.weight < 0.6
    assert np.corrcoef(prior.blend(own, said), y)[0, 1] > 0.98


def test_without_evidence_the_sources_count_as_so_many_labels_a_task():
    said, own, unseen, y, task = world(0.5, 0.5)
    prior = Prior.of(said, own, np.full(len(y), np.nan), y, task)
    assert prior.weight == WORTH / (WORTH + LABELS)
    alone = np.arange(len(y), dtype=np.int32)  # a single label a task says nothing either
    assert Prior.of(said, own, unseen, y, alone).weight > 0.7


def test_a_source_that_says_the_opposite_gets_no_say():
    said, own, unseen, y, task = world(0.9, 0.5)
    prior = Prior.of(np.hstack([-said, said]), own, unseen, y, task)
    assert prior.slopes[0] == 0 < prior.slopes[1]
    assert Prior.of(-said, own, unseen, y, task).weight == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=7
    )
)
def test_top_1_is_the_mean_over_all_subsets(programs):
    """Every subset of a task that is not empty, as often as the others."""
    task, score, y = (np.array(column) for column in zip(*programs, strict=True))
    expected = []
    for k in np.unique(task):
        ranked = [i for i in np.argsort(-score, kind="stable") if task[i] == k]
        subsets = [s for n in range(1, len(ranked) + 1) for s in combinations(ranked, n)]
        expected.append(np.mean([y[s[0]] for s in subsets]))
    found = _top1(score.astype(float), y, task.astype(np.int32))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 99))
def test_every_label_is_judged_once_and_trained_on_otherwise(tasks, seed):
    task = np.array(tasks, np.int32)
    parts = list(folds(task, seed))
    for shown, held_out in parts:
        assert sorted([*shown, *held_out]) == list(range(len(task)))
        counts = np.bincount(task[held_out], minlength=4)
        assert (np.abs(counts - np.bincount(task, minlength=4) / FOLDS) < 2).all()
    judged = [i for _, held_out in parts for i in held_out]
    assert sorted(judged) == (list(range(len(task))) if len(task) > 1 else [])


def test_many_labels_are_judged_on_a_part_of_them():
    task = np.zeros(10 * ENOUGH, np.int32)
    assert len(list(folds(task, 0))) == 1
    assert len(list(folds(task[: 2 * ENOUGH], 0))) == 2
