"""What training costs each round: anew on all labels, or boosting on from the last round's trees.

    python benchmarks/incremental.py [POOL] [--budget 1.0] [--rounds 15] [--seeds 3]

Labels come in equal random parts, as in a campaign of the random selector. `xgb` trains anew each
round, so a round costs in proportion to all labels so far. Beside it, the same model boosts on:
the share of boosting rounds that it adds is the share of labels that are new, so that a round
costs in proportion to its new labels. Both predict the held-out quarter after every round, in
turns. Prints a table, and as the last line one JSON object: seconds of all rounds, and Top-1 and
Top-5 averaged over the rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from balto.data.features import FeatureTable
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.learn.metrics import relative_throughput, top_k
from balto.learn.split import held_out_indices
from balto.learn.tmax import TMaxEstimator
from balto.models.xgb import XGB

POOL = Path(__file__).resolve().parents[1] / "pools" / "epyc-avx2"
TEST_SHARE = 0.25


class BoostOn(XGB):
    """Keeps its trees from one `fit` to the next, and adds some for the labels that are new."""

    known = 0

    def fit(
        self, features: FeatureTable, relative_throughput: np.ndarray, task: np.ndarray
    ) -> None:
        """Boost on, with trees as the new labels are to all."""
        new, self.known = len(features) - self.known, len(features)
        if self.forest is not None:
            last = XGB(self.seed, **self.parameters())
            last.forest = self.forest
            self._source = last
        whole = self.settings
        rounds = max(1, round(whole.num_boost_round * new / len(features)))
        self.settings = replace(whole, num_boost_round=rounds, tuning_rate=whole.learning_rate)
        super().fit(features, relative_throughput, task)
        self.settings = whole


def compare(pool: Pool, budget: float, rounds: int, seed: int) -> dict[str, np.ndarray]:
    """Seconds, Top-1 and Top-5 of every round, ``rounds x 3`` for each way."""
    rng, task = np.random.default_rng(seed), pool.task_of_program
    test, train = [], []
    for k, of in enumerate(pool.tasks):
        programs = np.array(pool.programs(k))
        held_out = held_out_indices(len(programs), TEST_SHARE, seed, of.name)
        test.append(programs[held_out])
        rest = rng.permutation(np.delete(programs, held_out))
        rest = rest[np.isfinite(pool.latency_s[rest])]
        train.append(rest[: max(rounds, round(budget * len(rest)))])
    models = {"anew": XGB(seed), "boosting on": BoostOn(seed)}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in models}
    for r in range(1, rounds + 1):
        known = np.sort(np.concatenate([t[: len(t) * r // rounds] for t in train]))
        y = relative_throughput(pool.latency_s[known], task[known])
        features = pool.features.take(known)
        y = y * TMaxEstimator().shares(features, y, task[known], features.names, seed)
        for name, model in models.items():
            started = time.perf_counter()
            model.fit(features, y, task[known])
            seconds = time.perf_counter() - started
            top = []
            for programs in test:
                truth = relative_throughput(pool.latency_s[programs], task[programs])
                scores = model.predict(pool.features.take(programs))
                top.append([top_k(scores, truth, k) for k in (1, 5)])
            found[name].append((seconds, *np.mean(top, axis=0)))
    return {name: np.array(rows) for name, rows in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", nargs="?", default=POOL, help="folder of a recorded pool")
    parser.add_argument("--budget", type=float, default=1.0, help="share of the training labels")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    pool = read_pool(args.pool)
    compare(pool, args.budget, 1, 0)  # loads compiled code
    runs = [compare(pool, args.budget, args.rounds, seed) for seed in range(args.seeds)]
    mean = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
    print(
        "round   seconds: anew  boosting on   Top-1: anew  boosting on   Top-5: anew  boosting on"
    )
    for r in range(args.rounds):
        (s, a, b), (t, c, d) = mean["anew"][r], mean["boosting on"][r]
        print(f"{r + 1:5d}   {s:13.3f}  {t:11.3f}   {a:11.3f}  {c:11.3f}   {b:11.3f}  {d:11.3f}")
    result = {
        name: {
            "seconds": round(float(m[:, 0].sum()), 4),
            "top1": round(float(m[:, 1].mean()), 4),
            "top5": round(float(m[:, 2].mean()), 4),
        }
        for name, m in mean.items()
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
