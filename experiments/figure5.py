"""Figure 5: the selection schemes, and C, against the budget.

    python experiments/figure5.py --scale small            # minutes
    python experiments/figure5.py --pool pools/epyc-avx2 pools/epyc-sse
    python experiments/figure5.py --warm --schemes random balto:C=0.0 balto:C=0.5 balto

C is the threshold of BALTO's switch: the biased scheme (Algorithm 2) while D_KL of a task's
measured programs is above it, output diversity (Algorithm 1) after.
``biased-diversity`` never switches. Every scheme is paired with `random`, with output diversity and
with the best of the baselines, as `table1.py` finds it; the best one at the end is drawn too. With
``--warm`` every run starts from a model of the other recorded pools of random programs, whether
they are in ``--pool`` or not, as a campaign does.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import _intervals as st
import numpy as np
from _page import Table, curves, publish
from _replay import Cell, fingerprint
from _study import POOLS, arguments, main, merged, run_all
from table1 import BASELINES, rivals_of

SCHEMES = (
    *("random", "output-diversity", "balto", "biased-diversity"),
    *("balto:C=0.5", "balto:C=2.0", "biased-lcmd"),
)

#: Of each scheme, after each round: one a pool.
Ratios = dict[str, list[list[st.Ratio]]]


def cells(options: Namespace, schemes: Sequence[str] = SCHEMES) -> list[Cell]:
    """Everything that the figure needs."""
    small = options.scale == "small"
    others = sorted(POOLS.glob("epyc-*"))
    return [
        Cell(
            pool=pool,
            scheme=scheme,
            budget=0.1 if small else 0.05,
            rounds=8 if small else 15,
            seed=seed,
            programs=200 if small else 0,
            sources=tuple(str(p) for p in others if p.name != Path(pool).name)
            if getattr(options, "warm", False)
            else (),
        )
        for pool in options.pool
        for scheme in schemes
        for seed in range(options.seeds)
    ]


def against(ratios: Ratios, place: int, schemes: Sequence[str]) -> list[str]:
    """What the schemes are paired with after a round."""
    means = {scheme: st.estimate(rounds[place]) for scheme, rounds in ratios.items()}
    return [*rivals_of(means), *(s for s in ("output-diversity",) if s in schemes)]


def table(ratios: Ratios, share: np.ndarray, schemes: Sequence[str]) -> Table:
    """After a third of the rounds, and at the end."""
    others = {p: against(ratios, p, schemes) for p in (len(share) // 3, len(share) - 1)}
    head = ["scheme"]
    for place, some in others.items():
        head += [f"at {share[place]:.1%}", *(f"against {other}" for other in some)]
    rows = []
    for scheme in dict.fromkeys([*schemes, *(other for some in others.values() for other in some)]):
        row: list[object] = [scheme]
        for place, some in others.items():
            mine = ratios[scheme][place]
            row.append(st.estimate(mine))
            row += [
                st.difference(mine, ratios[other][place]).signed if other != scheme else ""
                for other in some
            ]
        rows.append(row)
    return "Early, and at the end", head, rows


def study() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES))
    parser.add_argument("--baselines", nargs="+", default=list(BASELINES), choices=BASELINES)
    parser.add_argument("--warm", action="store_true", help="from a model of the other pools")
    options = parser.parse_args()
    schemes = list(dict.fromkeys([*options.schemes, *options.baselines]))
    found = run_all(cells(options, schemes), options)
    if found is None:
        return
    merged(found, options.out, "figure5")
    rounds = len(next(iter(found.values())).share)

    def of(scheme: str, place: int) -> list[st.Ratio]:
        return [
            st.Ratio.mean(
                fingerprint(pool),
                [
                    run.values["halves"][place]
                    for c, run in found.items()
                    if (c.pool, c.scheme) == (pool, scheme)
                ],
            )
            for pool in options.pool
        ]

    ratios = {scheme: [of(scheme, place) for place in range(rounds)] for scheme in schemes}
    share = np.mean([run.share for run in found.values()], axis=0)
    best = [s for s in against(ratios, rounds - 1, []) if s not in options.schemes]
    series = []
    for scheme in [*options.schemes[:1], *best, *options.schemes[1:]]:
        estimates = [st.estimate(pools) for pools in ratios[scheme]]
        band = np.array([[e.value, e.low, e.high] for e in estimates]).T
        series.append(({"balto": "balto (C=1)"}.get(scheme, scheme), share, band))
    start = ", each run from a model of the others" if options.warm else ""
    words = (
        f"Top-1 over random halves of the held-out programs, xgb, {options.seeds} seeds, "
        f"{len(options.pool)} pools{start}; the bands are 95 % intervals of two curves, each "
        "alone; the table's differences are paired."
    )
    publish(
        *(options.out, "figure5", "Figure 5: selection schemes against the budget", words),
        [table(ratios, share, options.schemes)],
        lambda: curves(series, ("labels, share of the programs", "Top-1"), "Selection schemes"),
    )


if __name__ == "__main__":
    main(study)
