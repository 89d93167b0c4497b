"""Train the model that ships with balto, on every label of some recorded pools.

    python experiments/starter.py pools/epyc-* --near-best pools/near-best-*

Pools near the best hold what tunings measured (``balto export TUNED POOL``). The best that a search
found need not be the best there is, so their labels are *levelled*: those of a task are on average
what a forest of the other pools predicts. What the programs near the best teach is then which of
them is faster, and not that wherever a search went it is fast.

A pool that has not every feature set is given it first (as ``balto features`` does); nothing is
measured. What such a model is worth on a pool that it has not seen: `curve.py`, `near_best.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import balto
from balto.models.starter import PATH
from balto.programs.features import with_all_features

SETS = ("decisions", "loops", "cycles")
#: Larger than `xgb` usually is: .01 of Top-1 on pools that it has not seen, mean of six.
FOREST = {
    "num_boost_round": 44,
    "num_parallel_tree": 8,
    "max_depth": 7,
    "learning_rate": 0.3,
    "colsample_bytree": 0.3,
}
#: Smallest prediction that counts.
_LEAST = 0.02


def together(
    pools: Sequence[balto.Pool], sets: Sequence[str] = SETS
) -> tuple[balto.FeatureTable, NDArray[np.float64], NDArray[np.int32]]:
    """Features, labels and tasks of the programs that ran; tasks count through all pools."""
    features, labels, tasks, before = [], [], [], 0
    for pool in pools:
        ok = np.flatnonzero(pool.outcomes.ok)
        task, latency = pool.task_of_program[ok], pool.latency_s[ok]
        best = np.full(len(pool.tasks), np.inf)
        np.minimum.at(best, task, latency)
        features.append(pool.features.select(sets).take(ok))
        labels.append(best[task] / latency)
        tasks.append(task + before)
        before += len(pool.tasks)
    table = balto.FeatureTable.concatenate(features)
    return table, np.concatenate(labels), np.concatenate(tasks).astype(np.int32)


def train(
    pools: Sequence[balto.Pool],
    sets: Sequence[str] = SETS,
    near_best: Sequence[balto.Pool] = (),
) -> balto.CostModel:
    """One model of all tasks of all pools, from some feature sets."""
    features, labels, task = together([*pools, *near_best], sets)
    drawn = task < sum(len(pool.tasks) for pool in pools)
    near = np.flatnonzero(~drawn)
    model = fitted(features, labels, task, drawn)
    if not len(near):
        return model
    labels[near] = levelled(model, features.take(near), labels[near], task[near])
    return fitted(features, labels, task)


def fitted(
    features: balto.FeatureTable,
    labels: NDArray[np.float64],
    task: NDArray[np.int32],
    kept: NDArray[np.bool_] | slice = slice(None),
    seed: int = 0,
) -> balto.models.XGB:
    """A forest of some programs, or all."""
    rows = np.arange(len(labels))[kept]
    model = balto.models.XGB(seed=seed, **FOREST)
    model.fit(features.take(rows), labels[rows], task[rows])
    return model


def levelled(
    model: balto.CostModel,
    features: balto.FeatureTable,
    labels: NDArray[np.float64],
    task: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Labels, those of a task on (geometric) average what a model predicts, but none above 1."""
    ratio = np.log(np.maximum(model.predict(features), _LEAST) / labels)
    level = np.bincount(task, ratio) / np.maximum(np.bincount(task), 1)
    return np.asarray(labels * np.exp(np.minimum(level, 0)[task]))


def card(pools: Sequence[balto.Pool]) -> dict[str, object]:
    """What the file says of its training."""
    return {
        "targets": sorted({t.target.to_json() for p in pools for t in p.tasks}),
        "devices": sorted({t.device for p in pools for t in p.tasks}),
        "tasks": [t.name for p in pools for t in p.tasks],
        "programs": sum(map(len, pools)),
        "measurements": sum(int(p.outcomes.ok.sum()) for p in pools),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--near-best", nargs="+", type=Path, default=[], metavar="POOL")
    parser.add_argument("-o", "--output", type=Path, default=PATH)
    options = parser.parse_args()
    drawn, near_best = (
        [with_all_features(balto.read_pool(path)) for path in paths]
        for paths in (options.pools, options.near_best)
    )
    model = train(drawn, near_best=near_best)
    balto.save_model(model, options.output, card([*drawn, *near_best]))
    print(f"{options.output}: {options.output.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
