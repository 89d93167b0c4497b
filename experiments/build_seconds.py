"""How well the seconds of building are foretold, on a pool that the model has not seen.

    python experiments/build_seconds.py pools/* [--write balto/models/build_cost.balto]

Each pool is held out in turn, and a forest trained on the others (`balto.models.build_cost`). The
table has the rank correlation with the seconds that were recorded, over all programs and within
tasks; and of the slowest 2 % of the builds, which share of their seconds is among the 2 %, and the
10 %, that were foretold to be the slowest. *Ended* are builds that take more than five times what
was foretold, and more than 2 s, once a twentieth of the pool has said how fast its machine is: how
many there are, the share of all building seconds that ending them saves, and the largest label y
among them. The last row is the mean over pools with its standard error. ``--write`` then trains on
all pools, and writes the file that ships.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from _study import Parser, main
from scipy.stats import ConstantInputWarning, spearmanr

import balto
from balto.data.features import FeatureTable
from balto.errors import InputError
from balto.models.build_cost import READS, BuildCost, fitted, limits
from balto.models.xgb import XGB
from balto.programs.features import with_all_features

#: Every so manieth program is trained on: more of them make it no better.
EVERY = 3
#: Tasks of fewer programs have no rank correlation of their own.
LEAST = 8
#: Every so manieth program has been built here, when the speed of a machine is learnt.
FIRST = 20


class Built:
    """Programs of one pool whose building took known seconds."""

    def __init__(self, path: Path) -> None:
        pool = with_all_features(balto.read_pool(path))
        seconds = pool.outcomes.numbers["build_s"]
        known = np.flatnonzero(np.isfinite(seconds) & (seconds > 0))
        self.name, self.seconds = path.name, seconds[known]
        self.features = pool.features.select(READS).take(known)
        self.task = pool.task_of_program[known]
        latency_s = np.where(np.isfinite(pool.latency_s), pool.latency_s, np.inf)
        best_s = np.minimum.reduceat(latency_s, pool.offsets[:-1])
        self.labels = best_s[self.task] / latency_s[known]


def trained(pools: list[Built]) -> XGB:
    """A forest of some pools."""
    some = [np.arange(0, len(pool.seconds), EVERY) for pool in pools]
    return fitted(
        FeatureTable.concatenate([p.features.take(s) for p, s in zip(pools, some, strict=True)]),
        np.concatenate([p.seconds[s] for p, s in zip(pools, some, strict=True)]),
        np.repeat(np.arange(len(pools)), [len(s) for s in some]),
    )


def judged(pool: Built, said: np.ndarray) -> list[float]:
    """Rank correlation, the mean of those within tasks, and shares of the slowest builds."""
    within = [
        spearmanr(pool.seconds[pool.task == task], said[pool.task == task])[0]
        for task, programs in zip(*np.unique(pool.task, return_counts=True), strict=True)
        if programs >= LEAST
    ]
    count = max(1, len(said) // 50)
    slowest = np.argsort(-pool.seconds, kind="stable")[:count]
    ranked = np.argsort(-said, kind="stable")
    shares = [
        pool.seconds[np.intersect1d(slowest, ranked[:many])].sum() / pool.seconds[slowest].sum()
        for many in (count, 5 * count)
    ]
    return [float(spearmanr(pool.seconds, said)[0]), float(np.nanmean(within)), *map(float, shares)]


def ended(pool: Built, forest: XGB) -> list[float]:
    """Builds that would be ended: their share, the share of seconds saved, the largest label."""
    cost = BuildCost(forest)
    first = np.arange(0, len(pool.seconds), FIRST)
    cost.learn(pool.features.take(first), pool.seconds[first])
    limit = limits(cost.seconds(pool.features))
    past = np.maximum(pool.seconds - limit, 0)
    best = pool.labels[past > 0].max(initial=0)
    return [float((past > 0).mean()), float(past.sum() / pool.seconds.sum()), float(best)]


def study() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--write", type=Path, help="Train on all pools, and write the file.")
    options = parser.parse_args()
    if len(options.pools) < 2:
        raise InputError("expected at least two pools: one is held out, the others teach")
    pools = [Built(path) for path in options.pools]
    warnings.simplefilter("ignore", ConstantInputWarning)
    head = ["pool", "programs", "correlation", "within tasks", "in the first 2 %", "in 10 %"]
    print("|", " | ".join([*head, "ended", "saves", "best of them"]), "|")
    print("|---" * 9 + "|")
    rows = []
    for pool in pools:
        forest = trained([other for other in pools if other is not pool])
        rows.append([*judged(pool, forest.predict_roots(pool.features)), *ended(pool, forest)])
        words = [f"{value:.3f}" for value in rows[-1]]
        print("|", " | ".join([pool.name, f"{len(pool.seconds):,}", *words]), "|")
    table = np.array(rows)
    mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(table))
    words = [f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True)]
    print("| mean |", sum(len(pool.seconds) for pool in pools), "|", " | ".join(words), "|")
    if options.write:
        about = {"by": "experiments/build_seconds.py", "pools": [pool.name for pool in pools]}
        balto.save_model(trained(pools), options.write, about)


if __name__ == "__main__":
    main(study)
