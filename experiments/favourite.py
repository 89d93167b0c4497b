"""By which rule should a program be chosen of a task of which none is measured?

    python experiments/favourite.py --pools pools/epyc-* --near-best pools/near-best-*

Each pool is held out in turn, with all tasks of its names, and a starter is trained on the others;
of each task of the pool every rule chooses one program; `balto.search.favourite` takes off 1
deviation. The table has its throughput relative to the best of its task: the mean over the tasks of
each pool; over all tasks, with what the rule gains on the highest prediction, its standard error
over the tasks, and the throughput that a tenth of the tasks falls below.

Programs of pools are random. Those near the best were chosen by searches that were told how fast
they are: many lie near the fastest, which rules that ask neighbours gain from, and a search without
trials does not have.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from starter import fitted, levelled, together

import balto
from balto.programs.features import with_all_features

#: Tasks of fewer programs are left out; of more, the first so many count.
LEAST, MOST = 16, 400

Floats = NDArray[np.float64]
#: From the predictions of `n` programs, those of the members of an ensemble, ``K x n``, and the
#: shares of leaves that each two have in common, ``n x n``: what to expect of each.
Rule = Callable[[Floats, Floats, Floats], Floats]


def neighbours(said: Floats, members: Floats, common: Floats, less: float = 0.0) -> Floats:
    """The mean over a program's neighbours of the prediction less some deviations."""
    return np.asarray((common * cautious(said, members, common, less)).sum(1) / common.sum(1))


def cautious(said: Floats, members: Floats, common: Floats, less: float) -> Floats:  # noqa: ARG001
    """The prediction less some deviations of the ensemble."""
    return np.asarray(said - less * members.std(axis=0))


RULES: dict[str, Rule] = {
    "highest prediction": partial(cautious, less=0.0),
    **{f"less {k:g} deviations": partial(cautious, less=k) for k in (0.5, 1.0, 2.0, 4.0)},
    "mean of neighbours": neighbours,
    "mean of neighbours less 1 deviation": partial(neighbours, less=1.0),
}


class Pools:
    """All pools together, and where each lies.

    Args:
        drawn: of random programs.
        near_best: of programs that tunings chose.
    """

    def __init__(self, drawn: Sequence[balto.Pool], near_best: Sequence[balto.Pool]) -> None:
        every = [*drawn, *near_best]
        self.features, self.labels, self.task = together(every)
        self.names = np.array([task.name for pool in every for task in pool.tasks])
        counts = [len(pool.tasks) for pool in every]
        self.pool = np.repeat(np.arange(len(every)), counts)
        self.near = (self.pool >= len(drawn))[self.task]

    def starter_without(self, pool: int) -> balto.models.XGB:
        """A starter of all tasks but those of a pool, and of its tasks' names."""
        held = (self.pool == pool) | np.isin(self.names, self.names[self.pool == pool])
        kept = ~held[self.task]
        first = fitted(self.features, self.labels, self.task, kept & ~self.near)
        near = np.flatnonzero(kept & self.near)
        if not len(near):
            return first
        labels = self.labels.copy()
        taught = self.features.take(near), labels[near], self.task[near]
        labels[near] = levelled(first, *taught)
        return fitted(self.features, labels, self.task, kept)

    def shares(self, pool: int) -> Iterator[list[float]]:
        """Of each task of a pool, the relative throughput of the program that each rule chooses."""
        model = self.starter_without(pool)
        for task in np.flatnonzero(self.pool == pool):
            rows = np.flatnonzero(self.task == task)[:MOST]
            if len(rows) < LEAST:
                continue
            features, labels = self.features.take(rows), self.labels[rows]
            leaves = model.leaves(features)
            common = np.stack([(leaves == each).mean(axis=1) for each in leaves])
            said = model.predict(features), model.ensemble(features), common
            chosen = [int(np.argmax(rule(*said))) for rule in RULES.values()]
            yield [float(labels[k] / labels.max()) for k in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pools", nargs="+", type=Path, required=True)
    parser.add_argument("--near-best", nargs="+", type=Path, default=[], metavar="POOL")
    options = parser.parse_args()
    paths = [*options.pools, *options.near_best]
    drawn, near_best = (
        [with_all_features(balto.read_pool(path)) for path in some]
        for some in (options.pools, options.near_best)
    )
    pools = Pools(drawn, near_best)
    found = [np.array(list(pools.shares(k))).reshape(-1, len(RULES)) for k in range(len(paths))]
    judged = [(path.name, shares) for path, shares in zip(paths, found, strict=True) if len(shares)]
    every = np.concatenate([shares for _, shares in judged])
    names = [f"{name} ({len(shares)})" for name, shares in judged]
    print(f"| rule | {' | '.join(names)} | all tasks | gains | a tenth is below |")
    print(f"|---{'|---' * (len(names) + 3)}|")
    for k, rule in enumerate(RULES):
        gain = every[:, k] - every[:, 0]
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        cells = [f"{shares[:, k].mean():.3f}" for _, shares in judged]
        cells += [f"{every[:, k].mean():.3f}", f"{gain.mean():+.3f} ± {error:.3f}"]
        print(f"| {rule} | {' | '.join(cells)} | {np.quantile(every[:, k], 0.1):.2f} |")


if __name__ == "__main__":
    main()
