"""Accuracy against labels, from 1 % to all: at random and by us, from nothing and with a starter.

    python experiments/curve.py --scale small
    python experiments/curve.py --pool pools/epyc-avx2 pools/epyc-sse pools/epyc-avx512

The starter of a pool is trained on all labels of the *other* pools given (or of ``--sources``), as
the shipped one is on all of them: it has never seen the pool it is judged on. `seconds.py` and
`until_full.py` show the same replays, kept in the same folder.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import _intervals as st
import numpy as np
from _page import curves, publish
from _replay import FULL, Cell, Run, fingerprint
from _study import arguments, main, merged, run_all

from balto.errors import InputError

SCHEMES = ("random", "biased-lcmd")
SHARES = (0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)
#: Of the small scale, which has too few programs a task for less.
FEW = (0.025, 0.05, 0.1, 0.2, 0.4, 1.0)
#: A scheme, and whether it starts from what other pools taught.
Line = tuple[str, bool]


def options_of(description: str | None) -> ArgumentParser:
    """The options of the scripts that set a starter beside a start from nothing."""
    parser = arguments(description)
    parser.add_argument("--sources", nargs="+", help="pools of the starter; default: the others")
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES))
    parser.add_argument("--model", default="xgb")
    return parser


def lines(options: Namespace) -> list[Line]:
    """What is drawn."""
    return [(scheme, started) for scheme in options.schemes for started in (False, True)]


def sources_of(options: Namespace, pool: str) -> tuple[str, ...]:
    """Pools that the starter of a pool is made of."""
    others = tuple(options.sources or [p for p in options.pool if p != pool])
    if not others:
        raise InputError("expected a second pool, or --sources, to make a starter of")
    return others


def cells(options: Namespace) -> dict[tuple[Line, str], list[Cell]]:
    """The seeds of each line and pool; ``full`` is the level of all labels."""
    small = options.scale == "small"
    found = {}
    for line in [(FULL, False), *lines(options)]:
        for pool in options.pool:
            found[line, pool] = [
                Cell(
                    pool=pool,
                    scheme=line[0],
                    model=options.model,
                    shares=() if line[0] == FULL else FEW if small else SHARES,
                    seed=seed,
                    sources=sources_of(options, pool) if line[1] else (),
                    programs=120 if small else 0,
                )
                for seed in range(options.seeds)
            ]
    return found


def replays(options: Namespace, name: str) -> dict[tuple[Line, str], list[Run]] | None:
    """The runs of each line and pool; None while some are missing."""
    wanted = cells(options)
    found = run_all([c for some in wanted.values() for c in some], options)
    if found is None:
        return None
    merged(found, options.out, name)
    return {key: [found[c] for c in some] for key, some in wanted.items()}


def ratios(found: dict[tuple[Line, str], list[Run]], line: Line, place: int) -> list[st.Ratio]:
    """Top-1 over halves after a round, by pool."""
    return [
        st.Ratio.mean(fingerprint(pool), [run.values["halves"][place] for run in runs])
        for (there, pool), runs in found.items()
        if there == line
    ]


def name_of(line: Line) -> str:
    """For people."""
    return f"{line[0]}{' with a starter' if line[1] else ''}"


def band(found: dict[tuple[Line, str], list[Run]], line: Line) -> np.ndarray:
    """Mean, low and high after each round, ``3 x R``."""
    rounds = len(next(runs for (there, _), runs in found.items() if there == line)[0].share)
    each = [st.estimate(ratios(found, line, place)) for place in range(rounds)]
    return np.array([[e.value, e.low, e.high] for e in each]).T


def shares(found: dict[tuple[Line, str], list[Run]]) -> np.ndarray:
    """What was measured after each round, a mean over the pools: no task has less than two."""
    line = next(there for there, _ in found if there[0] != FULL)
    measured = [runs[0].share for (there, _), runs in found.items() if there == line]
    return np.asarray(np.mean(measured, axis=0))


def study() -> None:
    options = options_of(__doc__).parse_args()
    found = replays(options, "curve")
    if found is None:
        return
    spent = shares(found)
    level = st.estimate(ratios(found, (FULL, False), -1))
    series = [(name_of(line), spent, band(found, line)) for line in lines(options)]
    rows = []
    for place, share in enumerate(spent):
        row: list[object] = [f"{share:.1%}"]
        row += [st.estimate(ratios(found, line, place)) for line in lines(options)]
        pairs = [((s, True), (s, False)) for s in options.schemes]
        if len(options.schemes) > 1:
            pairs.append(((options.schemes[-1], True), (options.schemes[0], False)))
        row += [
            st.difference(ratios(found, a, place), ratios(found, b, place)).signed for a, b in pairs
        ]
        rows.append(row)
    head = ["labels", *(name_of(line) for line in lines(options))]
    head += [f"the starter's worth, {s}" for s in options.schemes]
    head += ["both together"] if len(options.schemes) > 1 else []
    words = (
        f"{options.model}, {options.seeds} seeds, {len(options.pool)} pools; all labels reach "
        f"{level}. Top-1 over random halves of the held-out programs."
    )
    publish(
        *(options.out, "curve", "Accuracy against labels", words),
        [("Means with 95 % intervals; differences are paired", head, rows)],
        lambda: curves(
            *(series, ("labels, share of the programs", "Top-1"), "Accuracy against labels"),
            level=level.value,
            log=True,
        ),
    )


if __name__ == "__main__":
    main(study)
