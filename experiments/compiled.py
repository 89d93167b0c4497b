"""What the compiled code says beyond the schedule, and what it costs to look.

    python experiments/compiled.py [POOL] [--programs 120] [--seeds 12]

Compiles programs of every task of a pool with traces (nothing is timed), and trains the same
forest with and without the feature set `assembly`, on all labels and on 5 %. Prints Top-1 over
random halves of the held-out programs, and the seconds a program that this costs beside building
and timing it; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import balto
from balto.data.features import ASSEMBLY
from balto.learn.metrics import evaluate
from balto.learn.split import Split
from balto.learn.tmax import TMaxEstimator
from balto.programs.features import with_all_features

SETS = "decisions+loops+cycles"
POOL = Path(__file__).resolve().parents[1] / "pools" / "epyc-sse"
TEST_SHARE = 0.25


def some(pool: balto.Pool, count: int) -> balto.Pool:
    """The first programs of every task."""
    sizes = [min(count, len(pool.programs(k))) for k in range(len(pool.tasks))]
    kept = np.concatenate([pool.offsets[k] + np.arange(n) for k, n in enumerate(sizes)])
    return replace(
        pool,
        features=pool.features.take(kept),
        outcomes=pool.outcomes.take(kept),
        traces=[pool.traces[i] for i in kept],
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
    )


def top1(pool: balto.Pool, sets: str, share: float, seed: int) -> float:
    """Top-1 over random halves of the held-out programs, of `xgb` on the feature sets `sets`."""
    split, rng = Split.of(pool, TEST_SHARE, seed), np.random.default_rng(seed)
    test = np.concatenate([pool.offsets[k] + held for k, held in enumerate(split.test)])
    train = np.concatenate(
        [
            pool.offsets[k] + rng.permutation(free)[: max(2, round(share * len(free)))]
            for k, free in enumerate(split.train)
        ]
    )
    train = train[pool.outcomes.ok[train]]
    task, latency = pool.task_of_program, pool.latency_s
    best = np.full(len(pool.tasks), np.inf)
    np.minimum.at(best, task[train], latency[train])
    y, t = best[task[train]] / latency[train], task[train]
    known = pool.features.take(train)
    model = balto.models.XGB(seed=seed, features=sets)
    y = y * TMaxEstimator().shares(known, y, t, model.sets_for(known), seed)
    model.fit(known, y, t)
    scores = model.predict(pool.features.take(test))
    accuracy, _ = evaluate(scores, np.clip(scores, 0, 1), latency[test], task[test])
    return accuracy.top1_halves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", nargs="?", type=Path, default=POOL)
    parser.add_argument("--programs", type=int, default=120, help="of each task, at most")
    parser.add_argument("--seeds", type=int, default=12)
    options = parser.parse_args()
    pool = some(balto.read_pool(options.pool), options.programs)
    pool = with_all_features(pool)
    began = time.perf_counter()
    pool = with_all_features(pool, workers=1, asked=[ASSEMBLY.name])
    cost_s = (time.perf_counter() - began) / len(pool)
    measured = [o for i in range(len(pool)) if (o := pool.outcomes[i]) is not None and o.ok]
    result = {
        "pool": options.pool.name,
        "programs": len(pool),
        "seconds_a_program": {
            "compiled code": round(cost_s, 4),
            "building": round(float(np.nanmean([o.build_s for o in measured])), 4),
            "timing": round(float(np.nanmean([o.measure_s for o in measured])), 4),
        },
    }
    for share in (1.0, 0.05):
        runs = {
            name: np.array([top1(pool, sets, share, s) for s in range(options.seeds)])
            for name, sets in (("without", SETS), ("with", f"{SETS}+{ASSEMBLY.name}"))
        }
        gain = runs["with"] - runs["without"]
        error = gain.std(ddof=1) / np.sqrt(options.seeds)
        result[f"{share:.0%}"] = {
            **{name: round(float(tops.mean()), 4) for name, tops in runs.items()},
            "gain": round(float(gain.mean()), 4),
            "error": round(float(error), 4),
        }
        print(f"{share:.0%} of the labels: {result[f'{share:.0%}']}", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
