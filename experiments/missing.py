"""What the columns do not tell: task by task, programs of equal columns, and what labels still buy.

    python experiments/missing.py --pool pools/epyc-avx2 pools/epyc-avx2-deep

*Equal*: programs whose columns another program of the task has, too; only between these can no
model choose. *Nearest*: median ratio of latencies between a program and the one nearest to it by
columns, where *any* is that between two programs drawn at random. Then Top-1, by halves, of `xgb`
at a random sixteenth, quarter and all of the labels: what still rises was there to be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _page import publish
from _replay import Cell, read_pool
from _study import arguments, main, merged, run_all
from sklearn.neighbors import NearestNeighbors

import balto

SETS = ("decisions", "loops", "cycles")
BUDGETS = (1 / 16, 1 / 4, 1.0)


def study() -> None:
    parser = arguments(__doc__)
    options = parser.parse_args()
    programs = 120 if options.scale == "small" else 0
    cells = {
        (pool, budget): [
            Cell(pool, "random", budget=budget, rounds=1, seed=seed, programs=programs)
            for seed in range(options.seeds)
        ]
        for pool in options.pool
        for budget in BUDGETS
    }
    found = run_all([c for some in cells.values() for c in some], options)
    if found is None:
        return
    merged(found, options.out, "missing")
    tables = []
    for path in options.pool:
        pool = read_pool(path, programs)
        scores = [
            np.nanmean([found[c].values["halves"][-1] for c in cells[path, b]], axis=0)
            for b in BUDGETS
        ]
        rows: list[list[object]] = [
            [pool.tasks[k].name, *seen, *(f"{s[k]:.3f}" for s in scores)]
            for k, seen in enumerate(columns_of_tasks(pool))
        ]
        rows.append(["mean", "", "", "", "", *(f"{s.mean():.3f}" for s in scores)])
        head = ["task", "programs", "equal", "nearest", "any", "1/16", "1/4", "all"]
        tables.append((Path(path).name, head, rows))
    publish(options.out, "missing", "What the columns do not tell", __doc__, tables=tables)


def columns_of_tasks(pool: balto.Pool) -> Iterator[list[object]]:
    """Programs, how many share their columns, and the latency ratios nearby and anywhere."""
    columns = np.concatenate([pool.features[name].rows for name in SETS], axis=1)
    for k in range(len(pool.tasks)):
        ok = np.array([i for i in pool.programs(k) if pool.outcomes.ok[i]])
        rows, log_latency = columns[ok], np.log(pool.latency_s[ok])
        _, group, size = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
        scaled = (rows - rows.mean(axis=0)) / np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1)
        nearest = NearestNeighbors(n_neighbors=2).fit(scaled).kneighbors(scaled)[1][:, 1]
        other = np.random.default_rng(0).permutation(len(ok))
        ratios = [np.exp(np.median(np.abs(log_latency - log_latency[i]))) for i in (nearest, other)]
        yield [len(ok), int((size[group] > 1).sum()), *(f"{ratio:.2f}" for ratio in ratios)]


if __name__ == "__main__":
    main(study)
