"""Is a warm start safe? Every pool as the only source of every other, at several budgets.

    python experiments/pairs.py --seeds 4 --pool pools/epyc-*

Random labels in one round. What is printed is Top-1, by halves, of warm minus cold, and its
standard error over seeds (the splits are the same): a source should never cost more than the
noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _page import publish
from _replay import Cell
from _study import arguments, main, merged, run_all

BUDGETS = (0.01, 0.05, 0.2, 1.0)


def study() -> None:
    options = arguments(__doc__).parse_args()
    programs = 120 if options.scale == "small" else 0

    def cells(pool: str, source: str, budget: float) -> list[Cell]:
        sources = (source,) if source else ()
        return [
            Cell(
                *(pool, "random"),
                budget=budget,
                rounds=1,
                seed=seed,
                sources=sources,
                programs=programs,
            )
            for seed in range(options.seeds)
        ]

    wanted = {
        (pool, source, budget): cells(pool, source, budget)
        for pool in options.pool
        for source in ("", *options.pool)
        for budget in BUDGETS
        if source != pool
    }
    found = run_all([c for some in wanted.values() for c in some], options)
    if found is None:
        return
    merged(found, options.out, "pairs")

    def halves(*which: Any) -> np.ndarray:
        return np.array([np.nanmean(found[c].values["halves"][-1]) for c in wanted[which]])

    rows, worst = [], (np.inf, "")
    for pool in options.pool:
        for source in options.pool:
            if source == pool:
                continue
            row: list[object] = [Path(pool).name, Path(source).name]
            for budget in BUDGETS:
                gain = halves(pool, source, budget) - halves(pool, "", budget)
                mean, error = gain.mean(), gain.std(ddof=1) / np.sqrt(len(gain))
                worst = min(worst, (mean / error, f"{row[0]} from {row[1]} at {budget:.0%}"))
                row.append(f"{mean:+.3f} ± {error:.3f}")
            rows.append(row)
    head = ["pool", "source", *(f"{budget:.0%}" for budget in BUDGETS)]
    words = f"The worst, {worst[0]:+.1f} standard errors: {worst[1]}."
    publish(options.out, "pairs", "Warm minus cold", words, [("Top-1 by halves", head, rows)])


if __name__ == "__main__":
    main(study)
