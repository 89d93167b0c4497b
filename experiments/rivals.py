"""Our default beside the models that others train on their own columns, at all labels.

    python experiments/rivals.py --seeds 10

``tvm`` is MetaSchedule's `XGBModel`, TVM's code with its default settings, on TVM's store features;
``lightgbm`` is LightGBM's LambdaRank with its defaults, on the same features summed and maximised
over a program's stores. Needs TVM and ``pip install lightgbm``.
"""

from __future__ import annotations

from pathlib import Path

import _intervals as st
from _page import publish
from _replay import FULL, Cell, fingerprint
from _study import arguments, main, merged, run_all


def study() -> None:
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--models", nargs="+", default=["lightgbm", "tvm", "xgb"])
    options = parser.parse_args()
    wanted = {
        (pool, model): [
            Cell(pool, FULL, model, seed=seed, programs=120 if options.scale == "small" else 0)
            for seed in range(options.seeds)
        ]
        for pool in options.pool
        for model in options.models
    }
    found = run_all([c for some in wanted.values() for c in some], options)
    if found is None:
        return
    merged(found, options.out, "rivals")
    ratios = {
        (pool, model): st.Ratio.mean(
            fingerprint(pool), [found[c].values["halves"][-1] for c in some]
        )
        for (pool, model), some in wanted.items()
    }
    *others, ours = options.models
    rows = []
    for pools in [*([p] for p in options.pool), options.pool]:
        name = Path(pools[0]).name if len(pools) == 1 else "mean"
        row: list[object] = [name]
        mine = [ratios[pool, ours] for pool in pools]
        for other in others:
            theirs = [ratios[pool, other] for pool in pools]
            row += [st.estimate(theirs), st.difference(mine, theirs).signed]
        rows.append([*row, st.estimate(mine)])
    head = ["pool"]
    for other in others:
        head += [other, f"{ours} against it"]
    words = f"Top-1 over random halves of the held-out quarter, all labels, {options.seeds} seeds."
    table = ("Means with 95 % intervals; differences are paired", [*head, ours], rows)
    publish(options.out, "rivals", "Others' models on their own columns", words, [table])


if __name__ == "__main__":
    main(study)
