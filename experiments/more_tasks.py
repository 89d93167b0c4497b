"""What more tasks, and more programs of each, are worth to a starter.

    python experiments/more_tasks.py pools/epyc-*

A quarter of all tasks is held out in turn, and a starter is trained on some of the others, or on
some of their programs. Top-1 over samples of the held-out tasks of 50 programs or more, as means
over the tasks; differences to the starter of everything, and their standard errors over the tasks.
Tasks of one name, which several pools may have, are held out together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from starter import fitted, together

import balto
from balto.programs.features import with_all_features

FOLDS = 4
#: Programs of a task among which the first choice is judged, at most half of them; how often.
SAMPLE, SAMPLES = 200, 20
_LEAST = 50

Floats = NDArray[np.float64]


class Study:
    """All programs that ran of all pools, and the folds of their tasks.

    Args:
        pools: with all feature sets.
    """

    def __init__(self, pools: list[balto.Pool]) -> None:
        self.features, self.labels, self.task = together(pools)
        names = [task.name for pool in pools for task in pool.tasks]
        self.pool = np.repeat(np.arange(len(pools)), [len(pool.tasks) for pool in pools])
        self.rows = [np.flatnonzero(self.task == t) for t in range(len(names))]
        _, same = np.unique(names, return_inverse=True)
        rng = np.random.default_rng(0)
        self.fold = (rng.permutation(same.max() + 1) % FOLDS)[same]

    def top1(self, kept: NDArray[np.bool_], seed: int) -> dict[int, float]:
        """Top-1 of each task when it is held out.

        Args:
            kept: programs that starters may be trained on.
            seed: of the training.
        """
        found = {}
        for fold in range(FOLDS):
            train = kept & (self.fold[self.task] != fold)
            model = fitted(self.features, self.labels, self.task, train, seed)
            for task, rows in enumerate(self.rows):
                if self.fold[task] == fold and len(rows) >= _LEAST:
                    predictions = model.predict(self.features.take(rows))
                    found[task] = _first_choice(predictions, self.labels[rows])
        return found

    def some_tasks(self, share: float, seed: int) -> NDArray[np.bool_]:
        """Programs of a random share of the tasks; those of a smaller share are among them."""
        drawn = np.random.default_rng([1, seed]).random(len(self.rows))
        kept: NDArray[np.bool_] = drawn[self.task] < share
        return kept

    def without(self, pool: int, _: int) -> NDArray[np.bool_]:
        """Programs of all pools but one."""
        kept: NDArray[np.bool_] = self.pool[self.task] != pool
        return kept

    def some_programs(self, share: float, seed: int) -> NDArray[np.bool_]:
        """A random share of the programs of every task."""
        rng = np.random.default_rng([2, seed])
        kept = np.zeros(len(self.task), bool)
        for rows in self.rows:
            kept[rng.permutation(rows)[: round(share * len(rows))]] = True
        return kept


def _first_choice(predictions: Floats, labels: Floats) -> float:
    rng = np.random.default_rng(0)
    size = min(SAMPLE, len(labels) // 2)
    samples = [rng.permutation(len(labels))[:size] for _ in range(SAMPLES)]
    return float(np.mean([labels[s][np.argmax(predictions[s])] / labels[s].max() for s in samples]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    study = Study([with_all_features(balto.read_pool(path)) for path in options.pools])
    kept: dict[str, Callable[[int], NDArray[np.bool_]]] = {
        "everything": lambda _: np.ones(len(study.task), bool),
        "half of the tasks": lambda seed: study.some_tasks(0.5, seed),
        "a quarter of the tasks": lambda seed: study.some_tasks(0.25, seed),
        "half of the programs": lambda seed: study.some_programs(0.5, seed),
        "a quarter of the programs": lambda seed: study.some_programs(0.25, seed),
    }
    for number, path in enumerate(options.pools):
        kept[f"without {path.name}"] = partial(study.without, number)
    whole: dict[int, float] = {}
    print("| starter of | Top-1 | difference |\n|---|---|---|")
    for name, of in kept.items():
        runs = [study.top1(of(seed), seed) for seed in range(options.seeds)]
        mean = {task: float(np.mean([run[task] for run in runs])) for task in runs[0]}
        whole = whole or mean
        more = np.array([mean[task] - whole[task] for task in mean])
        error = more.std(ddof=1) / np.sqrt(len(more))
        print(f"| {name} | {np.mean(list(mean.values())):.3f} | {more.mean():+.3f} ± {error:.3f} |")


if __name__ == "__main__":
    main()
