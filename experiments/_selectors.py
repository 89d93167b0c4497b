"""Selectors that did not become part of balto; `candidates.py` compares them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import balto


def best_first(scores: np.ndarray, state: balto.TaskState) -> np.ndarray:
    """Unlabelled programs, the highest score first."""
    free = state.unlabelled
    return free[np.argsort(-scores[free], kind="stable")]


@dataclass(frozen=True)
class Top(balto.Selector):
    """Pure exploitation: the best predicted."""

    name = "top"

    def choose(self, state: balto.TaskState, budget: int, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        return best_first(state.scores(), state)[:budget]


@dataclass(frozen=True)
class UpperConfidence(balto.Selector):
    """The best by mean plus one standard deviation of the ensemble."""

    name = "ucb"

    def choose(self, state: balto.TaskState, budget: int, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        members = np.clip(state.ensemble(), 0, None)
        return best_first(state.scores() + members.std(axis=0), state)[:budget]


@dataclass(frozen=True)
class Thompson(balto.Selector):
    """Each pick is the best of a random mixture of the ensemble's members."""

    name = "thompson"

    def choose(self, state: balto.TaskState, budget: int, rng: np.random.Generator) -> np.ndarray:
        members, free, picks = state.ensemble(), np.ones(state.size, dtype=bool), []
        free[state.labelled] = False
        for _ in range(budget):
            drawn = rng.dirichlet(np.full(len(members), 0.7)) @ members
            picks.append(int(np.argmax(np.where(free, drawn, -np.inf))))
            free[picks[-1]] = False
        return np.array(picks)


@dataclass(frozen=True)
class RandomOfTop(balto.Selector):
    """Random programs of the best predicted share."""

    name = "random-of-top"
    share: float = 0.1

    def choose(self, state: balto.TaskState, budget: int, rng: np.random.Generator) -> np.ndarray:
        fast = best_first(state.scores(), state)
        return rng.permutation(fast[: max(budget, round(self.share * len(fast)))])[:budget]


@dataclass(frozen=True)
class ByRank(balto.Selector):
    """Random programs; the chance falls by e with every tenth of the predicted order."""

    name = "by-rank"

    def choose(self, state: balto.TaskState, budget: int, rng: np.random.Generator) -> np.ndarray:
        fast = best_first(state.scores(), state)
        chance = np.exp(-np.arange(len(fast)) / (0.1 * len(fast)))
        return rng.choice(fast, budget, replace=False, p=chance / chance.sum())


#: By name.
SELECTORS = {s.name: s for s in (Top(), UpperConfidence(), Thompson(), RandomOfTop(), ByRank())}
