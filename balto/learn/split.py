"""Which programs are held out for the test, and how a budget is shared out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from balto.data.pool import Pool

_SPLIT, _SELECT = 1, 2


@dataclass(frozen=True)
class Split:
    """Programs of each task that are held out, and those that may be selected.

    Attributes:
        test: a task's held-out programs, ascending.
        train: the others, ascending.
    """

    test: Sequence[NDArray[np.int64]]
    train: Sequence[NDArray[np.int64]]

    @classmethod
    def of(cls, pool: Pool, share: float, seed: int) -> Split:
        """Hold out `share` of each task's programs.

        Args:
            pool: whose tasks are split.
            share: of each task, in [0, 1).
            seed: fixes the draw.

        Returns:
            Which programs are held out, and which may be selected.
        """
        sizes = np.diff(pool.offsets).tolist()
        test = [
            held_out_indices(size, share, seed, task.name)
            for size, task in zip(sizes, pool.tasks, strict=True)
        ]
        everything = zip(sizes, test, strict=True)
        return cls(test, [np.setdiff1d(np.arange(size), out) for size, out in everything])


def selection_rng(seed: int, round_number: int, task: str) -> np.random.Generator:
    """The random numbers of one round's selection in one task.

    Made from the task's *name*: what is drawn does not depend on which other tasks there are.
    """
    return np.random.default_rng([_SELECT, seed, round_number, crc32(task.encode())])


def held_out_indices(size: int, share: float, seed: int, task: str) -> NDArray[np.int64]:
    """Indices of the `held_out_count` programs of a task that are held out, ascending."""
    count = held_out_count(size, share)
    drawn = np.random.default_rng([_SPLIT, seed, crc32(task.encode())]).permutation(size)[:count]
    return np.sort(drawn)


def held_out_count(size: int, share: float) -> int:
    """How many of a task's `size` programs are held out.

    `share` of them, rounded; at least one program stays selectable, and at least one is held out
    if `share` is above 0 and the task has two.
    """
    count = round(share * size)
    if share > 0:
        count = max(count, 1)
    return min(count, size - 1)


def total_budget(share: float, selectable: int) -> int:
    """How many of all `selectable` programs are measured; at least one."""
    return max(1, round(share * selectable))


def allocate_budget(budget: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
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


def budget_by_round(budget: int, rounds: int) -> NDArray[np.int64]:
    """How many programs of a task's `budget` are measured in each of `rounds` rounds.

    Evenly, but two in the first round where there are two: one label says nothing of the others.
    """
    done = np.floor(budget * np.arange(1, rounds + 1) / rounds + 0.5).astype(np.int64)
    done = np.maximum(done, min(2, budget))
    counts: NDArray[np.int64] = np.diff(np.concatenate([[0], done]))
    return counts
