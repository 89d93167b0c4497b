"""The cost models beside each other, at all labels and at a random 5 %.

    python experiments/models.py --scale small
    python experiments/models.py --models xgb xgb-tenset mlp lstm lightgbm

``lightgbm`` is LightGBM's LambdaRank with its defaults on the features of `xgb`: what one would try
first. It needs ``pip install lightgbm``.
"""

from __future__ import annotations

from _intervals import Ratio, estimate
from _page import publish
from _replay import FULL, Cell, fingerprint
from _study import arguments, main, merged, run_all


def study() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", help="default: xgb xgb-tenset mlp lstm")
    options = parser.parse_args()
    small = options.scale == "small"
    models = options.models or (
        ["xgb", "xgb-tenset"] if small else ["xgb", "xgb-tenset", "mlp", "lstm"]
    )
    wanted = [
        Cell(pool, scheme, model, rounds=1, seed=seed, programs=120 if small else 0)
        for model in models
        for pool in options.pool
        for scheme in (FULL, "random")
        for seed in range(options.seeds)
    ]
    found = run_all(wanted, options)
    if found is None:
        return
    merged(found, options.out, "models")
    rows = []
    for model in models:
        row: list[object] = [model]
        for scheme in (FULL, "random"):
            for metric in ("top1", "top5"):
                pools = [
                    Ratio.mean(
                        fingerprint(pool),
                        [
                            r.values[metric][-1]
                            for c, r in found.items()
                            if (c.pool, c.scheme, c.model) == (pool, scheme, model)
                        ],
                    )
                    for pool in options.pool
                ]
                row.append(estimate(pools))
        rows.append(row)
    head = ["model", "all labels: Top-1", "Top-5", "random 5 %: Top-1", "Top-5"]
    words = f"{options.seeds} seeds, {len(options.pool)} pools, a quarter of each task held out."
    publish(
        options.out, "models", "Cost models", words, [("Means with 95 % intervals", head, rows)]
    )


if __name__ == "__main__":
    main(study)
