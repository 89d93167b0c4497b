"""How well is a starter right where a search ends: among programs near the best?

    python experiments/near_best.py pools/near-best-avx2 --sources pools/epyc-*

The pool holds what tunings measured (``balto export TUNED POOL``), of operators that the sources do
not have. A starter of the sources is judged on it, then one that was also taught the pool's other
tasks (four folds), their labels as they are, and *levelled*: scaled so that a task's labels are on
average what the first starter predicts, as the best that a search found need not be the best there
is. The rank correlations are means over the tasks; *first of 1, 8* is the best of the programs that
are predicted to be fastest, relative to the best of the task; *16 trials* is what
`balto.search.surrogate` finds, in batches of four.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from starter import fitted, levelled, together

import balto
from balto.data.features import FeatureTable
from balto.programs.features import with_all_features
from balto.search.surrogate import Belief

FOLDS = 4
COLUMNS = ("rank correlation", "of the faster half", "first of 1", "of 8", "16 trials")
Floats = NDArray[np.float64]


def judged(model: balto.models.XGB, features: FeatureTable, labels: Floats) -> list[float]:
    """One task's `COLUMNS`."""
    said = model.predict(features)
    first = np.argsort(-said, kind="stable")
    fast = np.argsort(-labels, kind="stable")[: len(labels) // 2]
    ranks = [float(spearmanr(said[rows], labels[rows])[0]) for rows in (first, fast)]
    return [*ranks, labels[first[0]], labels[first[:8]].max(), _found(model, features, labels)]


def _found(
    model: balto.models.XGB, features: FeatureTable, labels: Floats, trials: int = 16
) -> float:
    belief, free, best = Belief(model), np.arange(len(labels)), 0.0
    programs = belief.judge(features)
    for _ in range(trials // 4):
        chosen = free[belief.choose("", programs.take(free), 4)]
        belief.learn("", programs.take(chosen), 1 / labels[chosen])
        free = np.setdiff1d(free, chosen)
        best = max(best, float(labels[chosen].max()))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("--sources", nargs="+", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    sources = [with_all_features(balto.read_pool(path)) for path in options.sources]
    pool = with_all_features(balto.read_pool(options.pool))
    features, labels, task = together([*sources, pool])
    before = sum(len(source.tasks) for source in sources)
    rows = [np.flatnonzero(task == before + t) for t in range(len(pool.tasks))]
    near = np.concatenate(rows)
    fold = np.full(before + len(pool.tasks), -1)  # of the sources' tasks, which are always known
    fold[before:] = np.random.default_rng(0).permutation(len(pool.tasks)) % FOLDS
    found: dict[str, list[list[list[float]]]] = {}
    for seed in range(options.seeds):
        first = fitted(features, labels, task, task < before, seed)
        level = labels.copy()
        level[near] = levelled(first, features.take(near), labels[near], task[near])
        of = {"the sources": [first] * FOLDS}
        for name, used in (("as they are", labels), ("levelled", level)):
            of[f"and the other tasks, {name}"] = [
                fitted(features, used, task, fold[task] != k, seed) for k in range(FOLDS)
            ]
        for name, models in of.items():
            tasks = [
                judged(models[fold[before + t]], features.take(here), labels[here])
                for t, here in enumerate(rows)
            ]
            found.setdefault(name, []).append(tasks)
    means = {name: np.mean(runs, axis=0) for name, runs in found.items()}
    print(f"| starter of | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    for name, mean in means.items():
        more = mean - means["the sources"]
        error = more.std(axis=0, ddof=1) / np.sqrt(len(more))
        cells = [f"{m:.3f}" for m in mean.mean(axis=0)]
        if more.any():
            gains = zip(cells, more.mean(axis=0), error, strict=True)
            cells = [f"{cell} ({gain:+.3f} ± {e:.3f})" for cell, gain, e in gains]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
