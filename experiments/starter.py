"""Train the model that ships with balto, on every label of some recorded pools.

    python experiments/starter.py pools/epyc-*

A pool that has not every feature set is given it first (as ``balto features`` does); nothing is
measured. What such a model is worth on a pool that it has not seen: `curve.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import balto
from balto.models.starter import PATH
from balto.programs.recorded import with_all_features

SETS = ("decisions", "loops")
#: Larger than `xgb` usually is: .01 of Top-1 on pools that it has not seen, mean of six.
FOREST = {"num_boost_round": 44, "max_depth": 7, "learning_rate": 0.3}


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


def train(pools: Sequence[balto.Pool], sets: Sequence[str] = SETS) -> balto.CostModel:
    """One model of all tasks of all pools, from some feature sets."""
    model = balto.models.XGB(seed=0, **FOREST)
    model.fit(*together(pools, sets))
    return model


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
    parser.add_argument("-o", "--output", type=Path, default=PATH)
    options = parser.parse_args()
    pools = [with_all_features(balto.read_pool(path)) for path in options.pools]
    balto.save_model(train(pools), options.output, card(pools))
    print(f"{options.output}: {options.output.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
