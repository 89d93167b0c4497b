"""How alike are a forest's errors on two programs of a task, by the leaves that they share?

    python experiments/leaves.py pools/epyc-*

A quarter of all tasks is held out in turn, and a starter is trained on the others. Of the fastest
quarter of each held-out task, by prediction, pairs are sorted by the share of trees in which both
fall into the same leaf; the table has the correlation of what the forest got wrong of their
logarithms, and its standard deviation. `balto.search.surrogate` takes the correlation to be that
share, which is more than the table has: searches with it found faster programs
(`docs/notes/tuning-study.md`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from more_tasks import FOLDS, Study
from starter import fitted

import balto
from balto.programs.features import with_all_features
from balto.search.surrogate import ERROR

#: Tasks of fewer programs are left out; of more, so many of the most promising ones count.
LEAST, MOST = 90, 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pools", nargs="+", type=Path)
    options = parser.parse_args()
    study = Study([with_all_features(balto.read_pool(path)) for path in options.pools])
    shares, products, variances = [], [], []
    for fold in range(FOLDS):
        train = study.fold[study.task] != fold
        model = fitted(study.features, study.labels, study.task, train)
        for task, rows in enumerate(study.rows):
            if study.fold[task] != fold or len(rows) < LEAST:
                continue
            said = model.predict(study.features.take(rows))
            first = np.argsort(-said)[: min(len(rows) // 4, MOST)]
            likely = rows[first]
            leaves = model.leaves(study.features.take(likely))
            wrong = np.log(study.labels[likely] / np.maximum(said[first], 0.02))
            wrong -= wrong.mean()
            one, other = np.triu_indices(len(likely), 1)
            shares.append((leaves[one] == leaves[other]).mean(axis=1))
            products.append(wrong[one] * wrong[other])
            variances.append(np.full(len(one), wrong.var()))
    share, product, variance = map(np.concatenate, (shares, products, variances))
    print(f"deviation {np.sqrt(variance.mean()):.3f}, taken to be {ERROR}\n")
    print("| share of leaves | pairs | correlation |\n|---|---|---|")
    for low in np.arange(10) / 10:
        here = (share >= low) & (share < low + 0.1)
        if here.sum() >= 100:
            found = product[here].mean() / variance[here].mean()
            print(f"| {low:.1f} to {low + 0.1:.1f} | {here.sum():,} | {found:+.2f} |")


if __name__ == "__main__":
    main()
