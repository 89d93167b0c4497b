"""What correcting T_max of few labels is worth to each cost model.

    python experiments/t_max.py --models xgb mlp --pool pools/epyc-avx2 pools/epyc-sse

Replays that differ in nothing else, paired by task and seed.
"""

from __future__ import annotations

import _intervals as st
from _page import publish
from _replay import Cell, fingerprint
from _study import arguments, main, merged, run_all


def study() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", default=["xgb", "xgb-tenset", "mlp", "lstm"])
    parser.add_argument("--schemes", nargs="+", default=["random", "biased-lcmd"])
    parser.add_argument("--budget", type=float, default=0.05)
    options = parser.parse_args()
    small = options.scale == "small"
    wanted = {
        (model, pool, scheme, t_max): [
            Cell(
                *(pool, scheme, model, options.budget),
                rounds=5 if small else 15,
                seed=seed,
                programs=120 if small else 0,
                t_max=t_max,
            )
            for seed in range(options.seeds)
        ]
        for model in options.models
        for pool in options.pool
        for scheme in options.schemes
        for t_max in (False, True)
    }
    found = run_all([c for some in wanted.values() for c in some], options)
    if found is None:
        return
    merged(found, options.out, "t_max")

    def ratios(model: str, scheme: str, t_max: bool, pools: list[str]) -> list[st.Ratio]:
        return [
            st.Ratio.mean(
                fingerprint(pool),
                [found[c].values["halves"][-1] for c in wanted[model, pool, scheme, t_max]],
            )
            for pool in pools
        ]

    rows = []
    for model in options.models:
        for scheme in options.schemes:
            row: list[object] = [model, scheme]
            for pools in [*([p] for p in options.pool), options.pool]:
                without, corrected = (ratios(model, scheme, t, pools) for t in (False, True))
                row += [st.estimate(without), st.difference(corrected, without).signed]
            rows.append(row)
    head = ["model", "scheme"]
    for name in [*(pool.rstrip("/").rpartition("/")[2] for pool in options.pool), "mean"]:
        head += [f"{name}, as measured", "corrected"]
    words = (
        f"Top-1 over random halves at {options.budget:.0%} of the labels, {options.seeds} seeds; "
        "the differences are paired."
    )
    table = ("With T_max as measured so far, and what correcting it adds", head, rows)
    publish(options.out, "t_max", "The correction of T_max", words, [table])


if __name__ == "__main__":
    main(study)
