"""Networks that read a program as a sequence, beside `mlp` and the trees, at all labels.

    python experiments/sequence.py --seeds 5

``nest`` attends over the loops, bands and tiling levels of `loops` and `decisions` and over the
rows of `store`, one token each. ``primitives`` is of TLP's kind (Zhai et al. 2023): it attends over
the schedule's primitives, each a kind and its numbers, and needs no lowering. Both are trained as
`mlp` is, with its ranking loss. `docs/notes/representation.md` says what became of them.
"""

from __future__ import annotations

from pathlib import Path

import _intervals as st
from _page import publish
from _replay import FULL, Cell, fingerprint
from _study import arguments, main, merged, run_all


def study() -> None:
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--models", nargs="+", default=["mlp", "primitives", "nest", "xgb"])
    options = parser.parse_args()
    if "mlp" not in options.models:
        parser.error("expected mlp among --models: the others are compared with it")
    # No T_max: the forest that judges it does not know the primitives.
    programs = 120 if options.scale == "small" else 0
    wanted = {
        (pool, model): [
            Cell(pool, FULL, model, seed=seed, programs=programs, t_max=False)
            for seed in range(options.seeds)
        ]
        for pool in options.pool
        for model in options.models
    }
    found = run_all([c for some in wanted.values() for c in some], options)
    if found is None:
        return
    merged(found, options.out, "sequence")

    def ratio(pools: list[str], model: str, value: str) -> list[st.Ratio]:
        return [
            st.Ratio.mean(
                fingerprint(pool), [found[c].values[value][-1] for c in wanted[pool, model]]
            )
            for pool in pools
        ]

    rows = [
        [
            Path(pools[0]).name if len(pools) == 1 else "mean",
            model,
            st.estimate(ratio(pools, model, "halves")),
            st.difference(ratio(pools, model, "halves"), ratio(pools, "mlp", "halves")).signed,
            st.estimate(ratio(pools, model, "top5")),
        ]
        for pools in [*([p] for p in options.pool), options.pool]
        for model in options.models
    ]
    head = ["pool", "model", "Top-1", "against mlp", "Top-5"]
    words = f"Top-1 over random halves of the held-out quarter, all labels, {options.seeds} seeds."
    table = ("Means with 95 % intervals; differences are paired", head, rows)
    publish(options.out, "sequence", "Programs as sequences", words, [table])


if __name__ == "__main__":
    main(study)
