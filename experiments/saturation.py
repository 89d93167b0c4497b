"""When do more measurements stop paying? The rule of ``--until-saturated`` on recorded pools.

    python experiments/saturation.py --scale small
    python experiments/saturation.py --schemes biased-lcmd --budget 0.2 --rounds 20

Each run replays a pool to a large budget, from nothing and from a starter of the other pools (or of
``--sources``), as a live campaign starts. A tenth of every task is held out as a campaign does, and
that is all that the estimate sees; another quarter is kept from it, and judges. The tables are of
how well the gain of the next 2 % is foretold, against two simpler rules, and of what stopping saves
and costs; ``--every 3`` looks after each third round alone. `docs/notes/saturation.md` holds what
came out.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import _intervals as st
import numpy as np
from _page import Table, publish
from _page import curves as draw
from _replay import Cell, Run, fingerprint
from _study import count, main, merged, run_all
from curve import Line, lines, name_of, options_of, sources_of

from balto.learn.saturation import CONFIDENCE, LEAST_GAIN, STEP, Outlook, outlook_of

#: What a campaign holds out of a task.
SEEN = 0.1
#: Rounds on either side over which the judging Top-1 is averaged: it is as noisy as the seen one.
AROUND = 2
#: Shares of the programs between which the table of gains is divided.
BANDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


@dataclass(frozen=True)
class Curves:
    """The runs of one line on one pool, `S` seeds.

    Attributes:
        pool: its folder.
        line: a scheme, and whether it starts from what other pools taught.
        runs: one a seed.
        every: each so-manieth round is looked at, the others are not.
    """

    pool: str
    line: Line
    runs: Sequence[Run]
    every: int = 1

    @cached_property
    def measured(self) -> np.ndarray:
        """Programs measured after each of `R` rounds, the same for all seeds."""
        return self.runs[0].measurements[self.every - 1 :: self.every]

    @cached_property
    def selectable(self) -> int:
        """Programs that may be chosen."""
        return round(float(self.runs[0].measurements[-1] / self.runs[0].share[-1]))

    @cached_property
    def judged(self) -> np.ndarray:
        """Top-1 by halves of what judges, ``S x R x K``; NaN where not judged."""
        return np.array([run.values["halves"][self.every - 1 :: self.every] for run in self.runs])

    @cached_property
    def seen(self) -> np.ndarray:
        """What a campaign sees of it, the mean over tasks: ``S x R``."""
        values = [run.values["seen"][self.every - 1 :: self.every] for run in self.runs]
        return np.asarray(np.nanmean(np.array(values), axis=2))

    @cached_property
    def outlooks(self) -> list[list[Outlook | None]]:
        """What a campaign expects after each round, `S` lists of `R`."""
        return [
            [
                outlook_of(self.measured[: r + 1].tolist(), seen[: r + 1].tolist(), self.selectable)
                for r in range(len(self.measured))
            ]
            for seen in self.seen
        ]

    def stops(self, least: float, confidence: float) -> np.ndarray:
        """The round in which each seed stops; the last where nothing stops it."""
        found = []
        for outlooks in self.outlooks:
            stops = [o is not None and o.below(least, confidence) for o in outlooks]
            found.append(stops.index(True) if any(stops) else len(stops) - 1)
        return np.array(found)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Of seeds and tasks: first as they are, then those of the draws, ``1 + D`` rows."""
        seeds, _, tasks = self.judged.shape
        drawn = st.resampled(fingerprint(self.pool), seeds, tasks)
        even = (np.full((1, n), 1 / n) for n in (seeds, tasks))
        of_seeds, of_tasks = (np.vstack(both) for both in zip(even, drawn, strict=True))
        return of_seeds, of_tasks

    @cached_property
    def truth(self) -> np.ndarray:
        """The mean curve over seeds and tasks, each point with its neighbours: ``1 + D x R``."""
        by_seed, by_task = self.weights()
        known = np.isfinite(self.judged).astype(float)
        above, below = (
            np.einsum("ds,dk,srk->dr", by_seed, by_task, values, optimize=True)
            for values in (np.nan_to_num(self.judged), known)
        )
        mean = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
        places = range(mean.shape[1])
        near = [mean[:, max(0, r - AROUND) : r + AROUND + 1].mean(axis=1) for r in places]
        return np.array(near).T

    def at(self, values: np.ndarray, measurements: float) -> np.ndarray:
        """A curve between its rounds, or several: `values` has `R` rows."""
        right = int(np.searchsorted(self.measured, measurements).clip(1, len(self.measured) - 1))
        low, high = self.measured[right - 1], self.measured[right]
        part = float(np.clip((measurements - low) / max(high - low, 1), 0, 1))
        return np.asarray(values[right - 1] * (1 - part) + values[right] * part)


def cells(options: Namespace) -> dict[tuple[Line, str], list[Cell]]:
    """The seeds of each line and pool."""
    small = options.scale == "small"
    return {
        (line, pool): [
            Cell(
                pool=pool,
                scheme=line[0],
                model=options.model,
                budget=options.budget,
                rounds=options.rounds or (20 if small else 40),
                seed=seed,
                sources=sources_of(options, pool) if line[1] else (),
                programs=120 if small else 0,
                seen=SEEN,
            )
            for seed in range(options.seeds)
        ]
        for line in lines(options)
        for pool in options.pool
    }


def foretold(found: Sequence[Curves]) -> list[list[object]]:
    """How well the next gain is foretold, by share of the programs measured, in points."""
    rows = []
    for low, high in pairwise(BANDS):
        some = [(curves, steps(curves, low, high)) for curves in found]
        some = [(curves, table) for curves, table in some if len(table)]
        if not some:
            continue
        expected, actual = ([of_steps(*each, name) for each in some] for name in (EXPECTED, ACTUAL))
        everything = 100 * np.concatenate([table[:, :ACTUAL] for _, table in some])
        really = 100 * np.concatenate([np.nanmean(t[:, ACTUAL:], axis=1) for _, t in some])
        guesses = (everything[:, EXPECTED], 0.0, everything[:, LAST])
        rows.append(
            [
                *(f"{low:.0%} to {high:.0%}", len(everything)),
                f"{100 * np.mean([r.value() for r in expected]):+.2f}",
                f"{everything[:, ERROR].mean():.2f}",
                points(st.estimate(actual)),
                points(st.difference(expected, actual)),
                *(f"{np.sqrt(np.mean((guess - really) ** 2)):.2f}" for guess in guesses),
            ]
        )
    return rows


#: Columns of `steps`; the last begins those of the tasks.
SEED, EXPECTED, ERROR, LAST, ACTUAL = range(5)


def steps(curves: Curves, low: float, high: float) -> np.ndarray:
    """For each round of some share measured: the seed, what is expected, what the next 2 % bring.

    Expected, its error and what the last 2 % brought are by what a campaign sees; what the next
    bring is by the programs that judge, and by task.
    """
    rows = []
    for s, outlooks in enumerate(curves.outlooks):
        for r, expected in enumerate(outlooks):
            now = curves.measured[r]
            if expected is None or not low < now / curves.selectable <= high:
                continue
            if r and now == curves.measured[r - 1]:  # nothing was measured
                continue
            if now + expected.measurements > curves.measured[-1]:
                continue
            ahead, judged = now + expected.measurements, curves.judged[s]
            last = curves.seen[s, r] - curves.at(curves.seen[s], now - expected.measurements)
            actual = curves.at(judged, ahead) - judged[r]
            rows.append([s, expected.gain, expected.error, last, *actual])
    return np.array(rows)


def of_steps(curves: Curves, table: np.ndarray, column: int) -> st.Ratio:
    """The mean of the expected or the actual gain over some rounds, by seed and task."""
    actual = table[:, ACTUAL:]
    values = actual if column == ACTUAL else np.where(np.isfinite(actual), table[:, [column]], 0)
    seeds = np.arange(len(curves.runs))
    above, below = (
        np.array([part[table[:, SEED] == s].sum(axis=0) for s in seeds])
        for part in (np.nan_to_num(values), np.isfinite(actual).astype(float))
    )
    return st.Ratio(fingerprint(curves.pool), above, below)


def stopped(found: Sequence[Curves], least: float, confidence: float) -> list[object]:
    """What stopping saves and costs: means over the runs, with their intervals."""
    kinds: dict[str, list[np.ndarray]] = {}
    for curves in found:
        by_seed, _ = curves.weights()
        places = curves.stops(least, confidence)
        now, truth = curves.measured[places], curves.truth
        step = STEP * curves.selectable
        ahead = np.array([curves.at(truth.T, n + step) for n in now]).T - truth[:, places]
        soon = ahead > least
        share = np.broadcast_to(now / curves.selectable, ahead.shape)
        each = {
            "share": share,
            "saved": np.broadcast_to(1 - now / curves.measured[-1], ahead.shape),
            "early": np.broadcast_to(places < len(curves.measured) - 1, ahead.shape),
            "ahead": ahead,
            "soon": soon,
            "by": np.where(soon, ahead - least, 0.0),
            "left": truth[:, [-1]] - truth[:, places],
        }
        for name, values in each.items():
            kinds.setdefault(name, []).append((values * by_seed).sum(axis=1))
    means = {
        n: st.of_draws([v[0] for v in some], [v[1:] for v in some]) for n, some in kinds.items()
    }
    by = 100 * means["by"].value / means["soon"].value if means["soon"].value else 0.0
    return [
        percent(means["early"]),
        percent(means["share"], 1),
        percent(means["saved"]),
        points(means["ahead"]),
        percent(means["soon"]),
        f"{by:.2f}",
        points(means["left"]),
    ]


def points(estimate: st.Estimate) -> str:
    """Of Top-1, in hundredths, with the sign."""
    value, low, high = (100 * v for v in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def percent(estimate: st.Estimate, digits: int = 0) -> str:
    """A share of runs or of programs."""
    return f"{estimate.value:.{digits}%} [{estimate.low:.{digits}%}, {estimate.high:.{digits}%}]"


def tables(found: Sequence[Curves]) -> list[Table]:
    """Gains foretold; what rules of stopping save and cost; the product's rule by pool."""
    starts = {"cold": [c for c in found if not c.line[1]], "warm": [c for c in found if c.line[1]]}
    head = ["measured", "rounds", "expected", "its error", "actual", "expected too high by"]
    head += ["RMSE", "of 'none'", "of 'as the last'"]
    shown: list[Table] = [
        (f"Gain of the next 2 %, {start}, in points of Top-1", head, foretold(some))
        for start, some in starts.items()
    ]
    costs = ["stopped early", "measured", "saved", "next 2 % there", "too soon", "by"]
    costs += ["left to the end"]
    rules = [(n * LEAST_GAIN, sure) for n in (0.5, 1, 2) for sure in (0.0, CONFIDENCE)]
    rows = [
        [start, f"{100 * least:.1f}", "yes" if sure else "no", *stopped(some, least, sure)]
        for start, some in starts.items()
        for least, sure in rules
    ]
    shown.append(("What stopping saves and costs", ["start", "under", "sure", *costs], rows))
    rows = [
        [Path(pool).name, start, *stopped(here, LEAST_GAIN, CONFIDENCE)]
        for pool in dict.fromkeys(c.pool for c in found)
        for start, some in starts.items()
        if (here := [c for c in some if c.pool == pool])
    ]
    shown.append(("The product's rule, by pool", ["pool", "start", *costs], rows))
    return shown


def study() -> None:
    parser = options_of(__doc__)
    parser.set_defaults(schemes=["balto", "biased-lcmd"])
    parser.add_argument("--budget", type=float, default=0.4, help="share at which the runs end")
    parser.add_argument("--rounds", type=count, help="default: 40; small: 20")
    parser.add_argument("--every", type=count, default=1, help="look after each N-th round alone")
    options = parser.parse_args()
    wanted = cells(options)
    runs = run_all([c for some in wanted.values() for c in some], options)
    if runs is None:
        return
    merged(runs, options.out, "saturation")
    found = [
        Curves(pool, line, [runs[c] for c in some], options.every)
        for (line, pool), some in wanted.items()
    ]
    series = []
    for line in lines(options):
        here = [c for c in found if c.line == line]
        spent = np.mean([c.measured / c.selectable for c in here], axis=0)
        draws = np.mean([c.truth for c in here], axis=0)
        band = np.array([draws[0], *np.nanquantile(draws[1:], [0.025, 0.975], axis=0)])
        series.append((name_of(line), spent, band))
    words = (
        f"{options.model}, {options.seeds} seeds, {len(options.pool)} pools, to "
        f"{options.budget:.0%} of the programs in {wanted[next(iter(wanted))][0].rounds} rounds"
        f"{f', looked at after every {options.every} rounds' if options.every > 1 else ''}; "
        "Top-1 by halves of programs that the rule does not see."
    )
    publish(
        *(options.out, "saturation", "When more measurements stop paying", words, tables(found)),
        lambda: draw(
            series, ("labels, share of the programs", "Top-1"), "When more measurements stop paying"
        ),
    )


if __name__ == "__main__":
    main(study)
