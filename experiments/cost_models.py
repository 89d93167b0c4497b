"""Accuracy of the cost models at all labels and at few, on recorded pools.

    python experiments/cost_models.py [POOL...] [--models xgb mlp lightgbm] [--seeds 5]

A quarter of each task is held out; the models are trained on a random share of the rest. Besides
our models, ``lightgbm`` is LightGBM's LambdaRank with its defaults on the pooled features of
`xgb`: what one would try first. Prints a table with the standard error over the seeds, and as the
last line one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from balto.data.features import STORE, FeatureTable
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.learn.metrics import relative_throughput, top_k
from balto.learn.split import held_out_indices
from balto.learn.tmax import TMaxEstimator
from balto.models import MODELS, create
from balto.models.pooled import pool_stores

POOLS = Path(__file__).resolve().parents[1] / "pools"
TEST_SHARE = 0.25
SHARES = [1.0, 0.05]
#: LambdaRank wants integer grades; its default gains allow 31.
GRADES = 30


class LambdaRank:
    """LightGBM's LGBMRanker with default settings, groups = tasks."""

    def __init__(self, seed: int) -> None:
        import lightgbm

        self._model = lightgbm.LGBMRanker(random_state=seed, n_jobs=1, verbose=-1)

    def fit(self, features: FeatureTable, y: np.ndarray, task: np.ndarray) -> None:
        """`task` must be sorted."""
        _, groups = np.unique(task, return_counts=True)
        self._model.fit(pool_stores(features[STORE.name]), (y * GRADES).astype(int), group=groups)

    def predict(self, features: FeatureTable) -> np.ndarray:
        """Ranking scores."""
        return np.asarray(self._model.predict(pool_stores(features[STORE.name])))


def splits(pool: Pool, seed: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Held-out programs, and a random share of the others, at least two a task."""
    rng = np.random.default_rng(seed)
    test, train = [], []
    for k, task in enumerate(pool.tasks):
        programs = np.array(pool.programs(k))
        held_out = held_out_indices(len(programs), TEST_SHARE, seed, task.name)
        rest = rng.permutation(np.delete(programs, held_out))
        test.append(programs[held_out])
        train.append(np.sort(rest[: max(2, round(share * len(rest)))]))
    return np.concatenate(test), np.concatenate(train)


def one_run(pool: Pool, name: str, seed: int, share: float) -> tuple[float, float, float]:
    """Top-1 and Top-5 on the held-out programs, and seconds of training."""
    test, train = splits(pool, seed, share)
    task = pool.task_of_program
    y = relative_throughput(pool.latency_s[train], task[train])
    train, y = train[y > 0], y[y > 0]
    model: Any = LambdaRank(seed) if name == "lightgbm" else create(name, seed)
    features = pool.features.take(train)
    started = time.perf_counter()
    if name != "lightgbm":  # as the loop does; LambdaRank has no use for a scale
        y = y * TMaxEstimator().shares(features, y, task[train], model.feature_sets, seed)
    model.fit(features, y, task[train])
    seconds = time.perf_counter() - started
    scores = model.predict(pool.features.take(test))
    truth, tasks = relative_throughput(pool.latency_s[test], task[test]), task[test]
    members = [tasks == k for k in np.unique(tasks)]
    top = [[top_k(scores[m], truth[m], k) for k in (1, 5)] for m in members if truth[m].any()]
    top1, top5 = np.mean(top, axis=0)
    return float(top1), float(top5), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    there = sorted(path for path in POOLS.iterdir() if path.is_dir())
    parser.add_argument("pools", nargs="*", default=there, help="folders of recorded pools")
    parser.add_argument("--models", nargs="+", default=[*MODELS, "lightgbm"])
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    table = []
    for path in args.pools:
        pool = read_pool(path)
        for share in args.shares:
            for name in args.models:
                runs = np.array([one_run(pool, name, s, share) for s in range(args.seeds)])
                (top1, top5, _), error = runs.mean(0), runs.std(0) / np.sqrt(args.seeds)
                seconds = float(np.median(runs[:, 2]))
                print(
                    f"{path} {share:5.0%} {name:11s} Top-1 {top1:.3f} ± {error[0]:.3f}  "
                    f"Top-5 {top5:.3f} ± {error[1]:.3f}  training {seconds:.2f} s",
                    flush=True,
                )
                row = {"pool": str(path), "share": share, "model": name, "seconds": seconds}
                table.append({**row, "top1": float(top1), "top5": float(top5)})
    print(json.dumps(table))


if __name__ == "__main__":
    main()
