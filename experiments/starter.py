"""Train the model that ships with balto, on every label of some recorded pools.

    python experiments/starter.py pools/epyc-avx2 pools/epyc-sse pools/epyc-avx512

A pool that has not every feature set is given it first (as ``balto features`` does); nothing is
measured. With ``--leave-one-out`` nothing is written: each pool in turn is learnt with and without
a starter of the others, at 5 % of its labels and at all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import balto
from balto.learn.loop import ActiveLearner
from balto.learn.settings import LoopSettings
from balto.models.starter import PATH
from balto.programs.recorded import with_all_features

SETS = ("decisions", "loops")


def train(pools: Sequence[balto.Pool]) -> balto.CostModel:
    """One model of all tasks of all pools."""
    features, labels, tasks, before = [], [], [], 0
    for pool in pools:
        ok = np.flatnonzero(pool.outcomes.ok)
        task, latency = pool.task_of_program[ok], pool.latency_s[ok]
        best = np.full(len(pool.tasks), np.inf)
        np.minimum.at(best, task, latency)
        features.append(pool.features.select(SETS).take(ok))
        labels.append(best[task] / latency)
        tasks.append(task + before)
        before += len(pool.tasks)
    model = balto.models.XGB(seed=0)
    table = balto.FeatureTable.concatenate(features)
    model.fit(table, np.concatenate(labels), np.concatenate(tasks).astype(np.int32))
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


def leave_one_out(pools: dict[str, balto.Pool], seeds: int) -> None:
    for name, pool in pools.items():
        source = train([other for key, other in pools.items() if key != name])
        for budget, rounds, selector in ((0.05, 15, "biased-lcmd"), (1.0, 1, "random")):
            found = {"cold": [], "starter": []}
            for seed in range(seeds):
                settings = LoopSettings(budget=budget, rounds=rounds, test_share=0.25, seed=seed)
                for kind, tops in found.items():
                    model = balto.models.XGB(seed=seed)
                    prior = source if kind == "starter" else None
                    if prior is not None:
                        model.warm_start(prior)
                    learner = ActiveLearner(
                        *(pool, balto.ReplayMeasurer(pool), balto.get_selector(selector), model),
                        settings,
                        prior=prior,
                    )
                    tops.append(learner.run().accuracy.top1_halves)
            gain = np.subtract(found["starter"], found["cold"])
            error = gain.std(ddof=1) / np.sqrt(seeds)
            means = ", ".join(f"{kind} {np.mean(tops):.3f}" for kind, tops in found.items())
            print(f"{name} at {budget:.0%}: {means}; {gain.mean():+.3f} ± {error:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=PATH)
    parser.add_argument("--leave-one-out", action="store_true")
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    pools = {path.name: with_all_features(balto.read_pool(path)) for path in options.pools}
    if options.leave_one_out:
        leave_one_out(pools, options.seeds)
        return
    balto.save_model(train(list(pools.values())), options.output, card(list(pools.values())))
    print(f"{options.output}: {options.output.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
