"""What a description of programs is worth: the same forest on different feature sets.

    python experiments/features.py --scale small
    python experiments/features.py --sets store loops decisions+loops

At all labels, at a random 5 %, and with *other tasks'* labels alone: a quarter of the tasks is held
out at a time, and all programs of the others are learnt from.
"""

from __future__ import annotations

import _intervals as st
import numpy as np
from _page import publish
from _replay import FULL, Cell, fingerprint
from _study import arguments, main, merged, run_all

SETS = (
    *("store", "decisions", "loops", "decisions+loops"),
    *("decisions+loops+cycles", "store+decisions+loops+cycles"),
)
FOLDS = ("1/4", "2/4", "3/4", "4/4")


def study() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    options = parser.parse_args()
    programs = 120 if options.scale == "small" else 0
    asked = [(FULL, ("",)), ("random", ("",)), (FULL, FOLDS)]
    wanted = {
        (sets, scheme, folds, pool, seed): [
            Cell(
                *(pool, scheme, f"xgb:features={sets}"),
                rounds=1,
                seed=seed,
                network=fold,
                programs=programs,
            )
            for fold in folds
        ]
        for sets in options.sets
        for scheme, folds in asked
        for pool in options.pool
        for seed in range(options.seeds)
    }
    found = run_all([c for some in wanted.values() for c in some], options)
    if found is None:
        return
    merged(found, options.out, "features")

    def ratios(sets: str, scheme: str, folds: tuple[str, ...]) -> list[st.Ratio]:
        by_pool = []
        for pool in options.pool:
            seeds = []
            for seed in range(options.seeds):
                runs = [found[c] for c in wanted[sets, scheme, folds, pool, seed]]
                seeds.append(np.concatenate([run.values["top1"][-1] for run in runs]))
            by_pool.append(st.Ratio.mean(fingerprint(pool), seeds))
        return by_pool

    rows = []
    for sets in options.sets:
        row: list[object] = [sets]
        for scheme, folds in asked:
            mine, first = ratios(sets, scheme, folds), ratios(options.sets[0], scheme, folds)
            row += [
                st.estimate(mine),
                st.difference(mine, first).signed if sets != options.sets[0] else "",
            ]
        rows.append(row)
    against = f"against {options.sets[0]}"
    head = ["sets", "all labels", against, "random 5 %", against, "other tasks alone", against]
    words = (
        f"Top-1 of xgb, {options.seeds} seeds, {len(options.pool)} pools. Other tasks are judged "
        "on all their programs, four times as many to choose from: compare down a column."
    )
    publish(
        options.out, "features", "Feature sets", words, [("Means with 95 % intervals", head, rows)]
    )


if __name__ == "__main__":
    main(study)
