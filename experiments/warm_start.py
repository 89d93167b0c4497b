"""Accuracy against labels, with and without starting from a model of another device.

    python experiments/warm_start.py [SOURCE_POOL] [TARGET_POOL] [--model xgb] [--seeds 5]

Trains a model on all programs of SOURCE_POOL. Then, on TARGET_POOL, holds out a quarter of each
task and trains on random labels of the rest, growing in number: once from nothing, once warm from
the source. "Source alone" is the source's model with no label of the target. The two pools should
be of different devices or targets; programs that both pools measured make the comparison the
interesting one. Prints a table, and as the last line one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.learn.metrics import relative_throughput, top_k
from balto.learn.split import held_out_indices
from balto.learn.tmax import TMaxEstimator
from balto.models import CostModel, create

POOLS = Path(__file__).resolve().parents[1] / "pools"
LABELS = [2, 5, 10, 20, 40, 80, 160]
TEST_SHARE = 0.25


def trained(name: str, seed: int, pool: Pool, index: np.ndarray, source: CostModel | None):
    model = create(name, seed)
    if source is not None:
        model.warm_start(source)
    task = pool.task_of_program[index]
    y = relative_throughput(pool.latency_s[index], task)
    features, y, task = pool.features.take(index[y > 0]), y[y > 0], task[y > 0]
    shares = TMaxEstimator().shares(features, y, task, model.feature_sets, seed, source)
    model.fit(features, shares * y, task)
    return model


def accuracy(model: CostModel, pool: Pool, index: np.ndarray) -> tuple[float, float]:
    """Top-1 and Top-5, means over the tasks."""
    scores, task = model.predict(pool.features.take(index)), pool.task_of_program[index]
    y = relative_throughput(pool.latency_s[index], task)
    tasks = [task == k for k in np.unique(task)]
    top = [[top_k(scores[m], y[m], k) for k in (1, 5)] for m in tasks if y[m].any()]
    top1, top5 = np.mean(top, axis=0)
    return float(top1), float(top5)


def split(pool: Pool, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Held-out programs, and the others of each task in random order."""
    rng = np.random.default_rng(seed)
    test, train = [], []
    for k, task in enumerate(pool.tasks):
        programs = np.array(pool.programs(k))
        held_out = held_out_indices(len(programs), TEST_SHARE, seed, task.name)
        test.append(programs[held_out])
        train.append(rng.permutation(np.delete(programs, held_out)))
    return np.concatenate(test), train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source, target = POOLS / "epyc-avx2", POOLS / "epyc-sse"
    parser.add_argument("source", nargs="?", default=source, help="pool to learn from")
    parser.add_argument("target", nargs="?", default=target, help="pool to spend few labels on")
    parser.add_argument("--model", default="xgb")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    source_pool, pool = read_pool(args.source), read_pool(args.target)
    print(f"from {source_pool.origin}\nto   {pool.origin}")
    smallest = min(len(pool.programs(k)) for k in range(len(pool.tasks))) * (1 - TEST_SHARE)
    budgets = [n for n in LABELS if n <= smallest]
    found: dict[str, list[list[tuple[float, float]]]] = {"cold": [], "warm": []}
    alone = []
    for seed in range(args.seeds):
        source = trained(args.model, seed, source_pool, np.arange(len(source_pool)), None)
        test, train = split(pool, seed)
        alone.append(accuracy(source, pool, test))
        for how, start in (("cold", None), ("warm", source)):
            picks = [np.sort(np.concatenate([t[:n] for t in train])) for n in budgets]
            models = [trained(args.model, seed, pool, index, start) for index in picks]
            found[how].append([accuracy(model, pool, test) for model in models])
    mean = {how: np.mean(runs, axis=0) for how, runs in found.items()}
    top1, top5 = np.mean(alone, axis=0)
    print(f"source alone, no label of the target: Top-1 {top1:.3f}, Top-5 {top5:.3f}")
    print("labels a task   Top-1 cold   warm    Top-5 cold   warm")
    for i, n in enumerate(budgets):
        (c1, c5), (w1, w5) = mean["cold"][i], mean["warm"][i]
        print(f"{n:13d}   {c1:10.3f}  {w1:.3f}   {c5:10.3f}  {w5:.3f}")
    result = {
        "model": args.model,
        "seeds": args.seeds,
        "labels": budgets,
        "source_alone": {"top1": round(top1, 4), "top5": round(top5, 4)},
        **{
            how: {"top1": m[:, 0].round(4).tolist(), "top5": m[:, 1].round(4).tolist()}
            for how, m in mean.items()
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
