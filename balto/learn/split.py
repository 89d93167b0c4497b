"""Which programs are held out for the test, and how a budget is shared out."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

_SPLIT, _SELECT = 1, 2


def selection_rng(seed: int, round_number: int, task: str) -> np.random.Generator:
    """The random numbers of one round's selection in one task.

    Made from the task's *name*: what is drawn does not depend on which other tasks there are.
    """
    return np.random.default_rng([_SELECT, seed, round_number, crc32(task.encode())])


def test_programs(size: int, share: float, seed: int, task: str) -> NDArray[np.int64]:
    """Indices of the programs of a task that are held out, ascending.

    `share` of the `size` programs, rounded; at least one program stays selectable, and at least
    one is held out if `share` is above 0 and the task has two.
    """
    count = round(share * size)
    if share > 0:
        count = max(count, 1)
    count = min(count, size - 1)
    drawn = np.random.default_rng([_SPLIT, seed, crc32(task.encode())]).permutation(size)[:count]
    return np.sort(drawn)


test_programs.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test


def share_out(budget: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Share `budget` programs out among tasks in proportion to their sizes, exactly.

    Largest remainders, ties to the lowest task; nobody gets more than its size.
    """
    budget = min(budget, int(sizes.sum()))
    if budget == 0:
        return np.zeros(len(sizes), dtype=np.int64)
    exact = budget * sizes / sizes.sum()
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: budget - int(shares.sum())]] += 1
    return shares


def rounds_of(budget: int, rounds: int) -> NDArray[np.int64]:
    """How many programs of a task's `budget` are measured in each of `rounds` rounds.

    Evenly, but two in the first round where there are two: one label says nothing of the others.
    """
    done = np.floor(budget * np.arange(1, rounds + 1) / rounds + 0.5).astype(np.int64)
    done = np.maximum(done, min(2, budget))
    counts: NDArray[np.int64] = np.diff(np.concatenate([[0], done]))
    return counts
