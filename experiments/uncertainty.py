"""How well a model knows where it errs: the spread of its ensemble beside its error.

    python experiments/uncertainty.py [POOL ...] [--seeds 8]

Trains `xgb` on 5 % of the labels at random and on all of them; on the held-out quarter prints the
rank correlation (Spearman, within each task, mean over the tasks) of the members' standard
deviation with the absolute error, and calibration: the share of programs whose error is within
two standard deviations, and by what the deviations would have to be multiplied for 95 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import balto
from balto.learn.split import Split
from balto.learn.tmax import TMaxEstimator

POOLS = Path(__file__).resolve().parents[1] / "pools"
TEST_SHARE = 0.25


def measured(pool: balto.Pool, model: str, share: float, seed: int) -> tuple[float, float, float]:
    """Rank correlation, share within two deviations, and the factor for 95 %, of one seed."""
    split, rng = Split.of(pool, TEST_SHARE, seed), np.random.default_rng(seed)
    train = np.concatenate(
        [
            pool.offsets[k] + rng.permutation(free)[: max(2, round(share * len(free)))]
            for k, free in enumerate(split.train)
        ]
    )
    test = np.concatenate([pool.offsets[k] + held for k, held in enumerate(split.test)])
    train, test = (programs[pool.outcomes.ok[programs]] for programs in (train, test))
    task, latency = pool.task_of_program, pool.latency_s
    best = np.full(len(pool.tasks), np.inf)
    np.minimum.at(best, task[train], latency[train])
    known, t = pool.features.take(train), task[train]
    fitted = balto.create_model(model, seed=seed)
    y = best[t] / latency[train]
    y = y * TMaxEstimator().shares(known, y, t, fitted.sets_for(known), seed)
    fitted.fit(known, y, t)
    features = pool.features.take(test)
    spread = fitted.ensemble(features).std(axis=0)
    truth = np.full(len(pool.tasks), np.inf)
    np.minimum.at(truth, task, np.where(pool.outcomes.ok, latency, np.inf))
    error = np.abs(fitted.predict(features) - truth[task[test]] / latency[test])
    ranks = [
        spearmanr(spread[here], error[here]).statistic
        for k in range(len(pool.tasks))
        if len(here := np.flatnonzero(task[test] == k)) > 2 and np.ptp(spread[here]) > 0
    ]
    ratio = error / np.maximum(spread, 1e-9)
    return float(np.mean(ranks)), float((ratio <= 2).mean()), float(np.quantile(ratio, 0.95) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    there = [POOLS / name for name in ("epyc-avx2", "epyc-sse")]
    parser.add_argument("pools", nargs="*", type=Path, default=there)
    parser.add_argument("--models", nargs="+", default=["xgb:features=store", "xgb"])
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    print("| pool | labels | model | rank correlation | within 2 deviations | factor for 95 % |")
    print("|---|---|---|---|---|---|")
    for path in options.pools:
        pool = balto.read_pool(path)
        for share in (0.05, 1.0):
            for model in options.models:
                runs = np.array([measured(pool, model, share, s) for s in range(options.seeds)])
                rank, within, factor = runs.mean(axis=0)
                error = runs[:, 0].std(ddof=1) / np.sqrt(options.seeds)
                row = f"{rank:.2f} ± {error:.2f} | {within:.0%} | {factor:.1f}"
                print(f"| `{path.name}` | {share:.0%} | `{model}` | {row} |", flush=True)


if __name__ == "__main__":
    main()
