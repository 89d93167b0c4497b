"""The laws of `balto.select.base.Selector`, for every selector there is."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.errors import InputError, SelectionError
from balto.select import SELECTORS, get, select_tasks
from balto.select.base import TaskState

everyone = pytest.mark.parametrize("name", SELECTORS)


def task(seed, size=40, *, labelled=None, levels=None, model=True):
    """A task of `size` programs, `labelled` of them measured, one in six of those failed."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, size + 1)) if labelled is None else labelled
    chosen = rng.permutation(size)[:count]
    labels = np.where(rng.random(count) < 1 / 6, np.nan, rng.uniform(0.05, 1, count))
    f, x, e = rng.random(size), rng.normal(size=(size, 7)), rng.random((4, size))
    if levels:
        f, x, e = (np.round(v * levels) / levels for v in (f, x, e))
    x = x.astype(np.float32)
    if not model:
        return TaskState("conv", size, chosen, labels, np.ones(count), None, lambda: x, None)
    return TaskState("conv", size, chosen, labels, np.ones(count), f, lambda: x, lambda: e)


def picks(name, state, budget, seed=0):
    return get(name).select(state, budget, np.random.default_rng(seed)).tolist()


@everyone
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    budget=st.integers(0, 60),
    levels=st.sampled_from([None, 1, 3]),
    model=st.booleans(),
)
def test_distinct_unlabelled_and_as_many_as_asked(name, seed, budget, levels, model):
    state = task(seed, levels=levels, model=model)
    chosen = picks(name, state, budget)
    assert len(chosen) == len(set(chosen)) == min(budget, len(state.unlabelled))
    assert set(chosen) <= set(state.unlabelled.tolist())


@everyone
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), levels=st.sampled_from([None, 3]))
def test_a_smaller_budget_gives_the_first_picks_of_a_larger(name, seed, levels):
    state = task(seed, levels=levels, labelled=10)
    assert picks(name, state, 5) == picks(name, state, 12)[:5]


@everyone
def test_constant_predictions(name):
    state = task(3, labelled=5)
    state.predictions = np.full(40, 0.5)
    state.ensemble_predictions = lambda: np.full((4, 40), 0.5)
    state.program_features = lambda: np.ones((40, 7), np.float32)
    chosen = picks(name, state, 35)
    assert sorted(chosen) == state.unlabelled.tolist()
    if name != "random":
        assert chosen == sorted(chosen), "ties go to the lowest index"


@everyone
def test_random_while_there_is_no_model(name):
    state = task(4, labelled=0, model=False)
    selector = get(name)
    if selector.needs_model:
        assert picks(name, state, 9) == picks("random", state, 9)
        assert selector.rule(state) == "random"
    else:
        assert selector.rule(state) == name


@everyone
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_an_error_that_names_the_task(name, bad):
    if name == "random":
        pytest.skip("looks at nothing")
    state = task(5, labelled=5)
    f, x, e = state.predictions, state.program_features(), state.ensemble_predictions()
    f[3] = x[3, 2] = e[1, 3] = bad
    with pytest.raises(SelectionError, match=r"task conv: expected finite .*, got 1 NaN"):
        picks(name, state, 4)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_task_needs_a_budget_and_a_generator(threads):
    states = [task(seed, labelled=seed) for seed in range(3)]
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    with pytest.raises(ValueError, match="got 3 tasks, 2 budgets and 3 generators"):
        select_tasks(get("random"), states, [7] * 2, rngs, threads=threads)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, ">f8"])
@everyone
def test_numbers_of_any_type_count_as_what_they_say(name, dtype):
    state, other = task(7, labelled=5, levels=1), task(7, labelled=5, levels=1)
    other.predictions = other.predictions.astype(dtype)
    assert picks(name, other, 9) == picks(name, state, 9)


@everyone
def test_the_same_in_any_number_of_threads(name):
    def run(threads):
        states = [task(seed, labelled=seed) for seed in range(12)]
        rngs = [np.random.default_rng(seed) for seed in range(12)]
        chosen = select_tasks(get(name), states, [7] * 12, rngs, threads=threads)
        return [c.tolist() for c in chosen]

    assert run(1) == run(2) == run(5)


def test_the_same_in_another_process():
    script = "from test_laws import *; print([picks(n, task(6, labelled=9), 8) for n in SELECTORS])"
    code = f"import sys; sys.path.insert(0, {sys.path[0]!r}); sys.path[:0] = {sys.path!r}; {script}"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == str([picks(n, task(6, labelled=9), 8) for n in SELECTORS])


def test_importing_the_registry_loads_no_compiler():
    code = "import sys, balto.select; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_selector_is_an_error_that_lists_those_there_are():
    with pytest.raises(InputError, match=r"random.*balto.*got 'blato'"):
        get("blato")


def test_a_selector_that_gets_no_features_says_so():
    state = task(7, labelled=5)
    state.program_features = None
    with pytest.raises(SelectionError, match="task conv: this selector needs program features"):
        picks("gsx", state, 3)


def test_predictions_of_another_length_are_an_error():
    state = task(8, labelled=5)
    state.predictions = state.predictions[:-1]
    with pytest.raises(SelectionError, match=r"task conv: expected predictions of shape \(40,\)"):
        picks("balto", state, 3)
