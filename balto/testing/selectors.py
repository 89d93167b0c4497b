"""The laws of `balto.Selector` as a test suite.

Subclass it in a test module, under a name that starts with ``Test``::

    from balto.select import Balto
    from balto.testing import SelectorContract


    class TestLittleBias(SelectorContract):
        def make(self):
            return Balto(C=0.1)
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any

import numpy as np
import pytest

from balto.errors import SelectionError
from balto.select.base import Selector, TaskState
from balto.select.random import Random
from balto.select.tasks import select_tasks


def made_up_task(
    seed: int,
    size: int = 40,
    *,
    labelled: int | None = None,
    levels: int | None = None,
    model: bool = True,
) -> TaskState:
    """A task of `size` programs, `labelled` of them measured, one in six of those failed.

    Args:
        seed: fixes everything.
        size: programs.
        labelled: how many are measured; drawn if None.
        levels: predictions and features take only so many values, so that there are ties.
        model: whether there is one that predicts.
    """
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, size + 1)) if labelled is None else labelled
    chosen = rng.permutation(size)[:count]
    labels = np.where(rng.random(count) < 1 / 6, np.nan, rng.uniform(0.05, 1, count))
    f, x, e = rng.random(size), rng.normal(size=(size, 7)), rng.random((4, size))
    if levels:
        f, x, e = (np.round(v * levels) / levels for v in (f, x, e))
    x32 = x.astype(np.float32)
    if not model:
        return TaskState("conv", size, chosen, labels, np.ones(count), None, lambda: x32, None)
    return TaskState("conv", size, chosen, labels, np.ones(count), f, lambda: x32, lambda: e)


def picks(selector: Selector, state: TaskState, budget: int, seed: int = 0) -> list[int]:
    """What a selector chooses, with a fresh generator."""
    chosen: list[int] = selector.select(state, budget, np.random.default_rng(seed)).tolist()
    return chosen


def _noting(asked: list[str], values: Any) -> Any:
    asked.append("looked")
    return values


class SelectorContract:
    """Subclass it, say how to `make` the selector, and let pytest collect the subclass."""

    #: A selector that keeps law 4: the first picks of a larger budget are those of a smaller one.
    greedy = True

    @abstractmethod
    def make(self) -> Selector:
        """A new selector."""

    def by_chance(self) -> bool:
        """Whether the selector throws dice; then laws 3 and 4 say nothing of it."""
        state = made_up_task(3, labelled=5)
        return any(picks(self.make(), state, 9, s) != picks(self.make(), state, 9) for s in (1, 2))

    @pytest.mark.parametrize("levels", [None, 1, 3])
    @pytest.mark.parametrize("model", [True, False])
    @pytest.mark.parametrize("budget", [0, 1, 7, 60])
    def test_law_1_distinct_unlabelled_and_as_many_as_asked(
        self, levels: int | None, model: bool, budget: int
    ) -> None:
        """Law 1, with ties and without, for a task of which nothing to everything is labelled."""
        for seed in range(8):
            state = made_up_task(seed, levels=levels, model=model)
            chosen = picks(self.make(), state, budget)
            assert len(chosen) == len(set(chosen)) == min(budget, len(state.unlabelled))
            assert set(chosen) <= set(state.unlabelled.tolist())

    def test_law_2_a_function_of_its_arguments(self) -> None:
        """Law 2: called again, made again, and in any number of threads."""
        selector = self.make()
        for seed in range(5):
            first = picks(selector, made_up_task(seed), 9, seed)
            assert picks(selector, made_up_task(seed), 9, seed) == first
            assert picks(self.make(), made_up_task(seed), 9, seed) == first
        runs = []
        for threads in (1, 2, 5):
            states = [made_up_task(seed, labelled=seed) for seed in range(12)]
            rngs = [np.random.default_rng(seed) for seed in range(12)]
            chosen = select_tasks(selector, states, [7] * 12, rngs, threads=threads)
            runs.append([c.tolist() for c in chosen])
        assert runs[0] == runs[1] == runs[2]

    def test_law_3_ties_go_to_the_lowest_index(self) -> None:
        """Law 3: where all programs look alike."""
        state = made_up_task(3, labelled=5)
        state.predictions = np.full(40, 0.5)
        state.ensemble_predictions = lambda: np.full((4, 40), 0.5)
        state.program_features = lambda: np.ones((40, 7), np.float32)
        chosen = picks(self.make(), state, 35)
        assert sorted(chosen) == state.unlabelled.tolist()
        if not self.by_chance():
            assert chosen == sorted(chosen)

    def test_law_4_a_smaller_budget_gives_the_first_picks_of_a_larger(self) -> None:
        """Law 4, for greedy selectors."""
        for seed in range(10):
            for levels in (None, 3):
                state = made_up_task(seed, levels=levels, labelled=10)
                if self.greedy and not self.by_chance():
                    assert picks(self.make(), state, 5) == picks(self.make(), state, 12)[:5]

    def test_law_5_random_while_there_is_no_model(self) -> None:
        """Law 5."""
        state, selector = made_up_task(4, labelled=0, model=False), self.make()
        if selector.needs_model:
            assert picks(selector, state, 9) == picks(Random(), state, 9)
            assert selector.rule(state) == "random"
        else:
            assert selector.rule(state) == selector.name

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_law_6_what_is_not_finite_is_an_error_that_names_the_task(self, bad: float) -> None:
        """Law 6: one that looks at predictions, features or members says so; others choose."""
        state = made_up_task(5, labelled=5)
        f, x, e = (v().astype(np.float64) for v in (state.scores, state.features, state.ensemble))
        f[3] = x[3, 2] = e[1, 3] = bad
        asked: list[str] = []
        state.predictions = f
        state.program_features = lambda: _noting(asked, x.astype(np.float32))
        state.ensemble_predictions = lambda: _noting(asked, e)
        try:
            chosen = picks(self.make(), state, 4)
        except SelectionError as error:
            assert re.match(r"task conv: expected finite .*, got 1 NaN", str(error))  # noqa: PT017
        else:
            assert len(chosen) == 4
            assert not asked
            assert not self.make().needs_model

    def test_its_hyper_parameters_survive_json(self) -> None:
        """A campaign stores them, and refuses to go on with others."""
        import json

        parameters = self.make().parameters()
        assert json.loads(json.dumps(parameters)) == parameters
