"""The laws of `balto.Selector`, for every built-in one, in the suite that ships with balto."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import balto
from balto.errors import InputError, SelectionError
from balto.select import SELECTORS, get, select_tasks
from balto.testing import SelectorContract
from balto.testing.selectors import made_up_task as task
from balto.testing.selectors import picks as picks_of

everyone = pytest.mark.parametrize("name", SELECTORS)

ROOT = Path(__file__).resolve().parents[2]


def picks(name, state, budget, seed=0):
    return picks_of(get(name), state, budget, seed)


@pytest.mark.parametrize("name", SELECTORS)
class TestEverySelector(SelectorContract):
    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return get(self.name)


class Fastest(balto.Selector):
    """The likely fastest first: ten lines that the shipped suite accepts."""

    name = "fastest"

    def choose(self, state, budget, rng):  # noqa: ARG002
        free = state.unlabelled
        return free[np.argsort(-state.predictions[free], kind="stable")[:budget]]


class TestASelectorOfOnesOwn(SelectorContract):
    def make(self):
        return Fastest()


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        ([0, 0, 1], "expected the selector bad to choose 3 distinct programs, it chose 2"),
        ([0, 1], "it chose 2, as int64 of shape"),
        ([0.5, 1.5, 2.5], "expected the selector bad to choose 3 distinct programs"),
        ([0, 1, 40], "chose a program that is labelled already, or that there is not"),
        ([-1, 0, 1], "chose a program that is labelled already, or that there is not"),
    ],
)
def test_a_choice_that_breaks_the_contract_is_an_error_that_names_the_selector(chosen, complaint):
    class Bad(Fastest):
        name = "bad"

        def choose(self, state, budget, rng):  # noqa: ARG002
            return chosen

    with pytest.raises(SelectionError, match=complaint):
        picks_of(Bad(), task(1, labelled=0), 3)


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


def test_the_same_in_another_process():
    chosen = "[picks(n, task(6, labelled=9), 8) for n in SELECTORS]"
    script = f"from tests.select.test_laws import *; print({chosen})"
    code = f"import sys; sys.path[:0] = {[str(ROOT), *sys.path]!r}; {script}"
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


def test_hyper_parameters_come_with_the_name():
    assert get("balto:C=0.5").parameters() == {"C": 0.5}
    assert get("balto").parameters() == get("balto:C=1.0").parameters() == {}
    assert get("biased-lcmd:power=1.0") == balto.select.BiasedLCMD(power=1.0)
    selector = balto.select.Balto(C=2.0)
    assert get(selector) is selector


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("balto:D=1", "unexpected keyword argument 'D'"),
        ("balto:C=-1", "expected C to be a number of at least 0, got -1"),
        ("balto:C=much", "expected C to be a number of at least 0, got 'much'"),
        ("balto:C", "name:key=value"),
        ("balto:=3", "name:key=value"),
    ],
)
def test_bad_hyper_parameters_are_one_line(spec, complaint):
    with pytest.raises(InputError, match=complaint):
        get(spec)


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
