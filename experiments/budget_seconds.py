"""The same seconds of measuring, spent by counts and by what a label teaches a second.

    python experiments/budget_seconds.py pools/epyc-sse pools/epyc-avx2 --seeds 2

Each seed replays a pool three times: a share of the programs; the seconds that this took; and
those seconds again with a selector that does not weigh programs by theirs, so that only the cut is
left. The table has measurements, seconds and Top-1 over halves of each; below are the differences
over all replays, paired, with their standard errors.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from _study import Parser, count, main

import balto
from balto.programs.features import with_all_features
from balto.select.base import TaskState
from balto.select.biased_lcmd import BiasedLCMD

ROUNDS = 10


class Unweighed(BiasedLCMD):
    """The default selector, which is not told what programs cost."""

    name = "unweighed"

    def choose(self, state: TaskState, budget: int, rng: np.random.Generator) -> np.ndarray:
        """As if all programs cost the same."""
        cost, state.cost = state.cost, None
        try:
            return super().choose(state, budget, rng)
        finally:
            state.cost = cost


def study() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--seeds", type=count, default=2)
    parser.add_argument("--budget", type=float, default=0.05, help="The share of the programs.")
    options = parser.parse_args()
    print("| pool | seed | share | seconds | seconds, not weighed |\n|---|---|---|---|---|")
    found = []
    for path in options.pools:
        pool = with_all_features(balto.read_pool(path))
        for seed in range(options.seeds):
            usual = partial(balto.replay, pool, seed=seed, rounds=ROUNDS)
            runs = [usual(budget=options.budget)]
            for selector in (BiasedLCMD(), Unweighed()):
                runs.append(usual(selector=selector, budget_s=runs[0].seconds))
            found.append([run.accuracy.top1_halves for run in runs if run.accuracy])
            words = [
                f"{run.measurements} in {run.seconds:.0f} s: {top1:.3f}"
                for run, top1 in zip(runs, found[-1], strict=True)
            ]
            print(f"| {path.name} | {seed} |", " | ".join(words), "|", flush=True)
    table = np.array(found)
    print("\nmeans", table.mean(axis=0).round(3))
    for name, other in (("share", 0), ("seconds, not weighed", 2)):
        gain = table[:, 1] - table[:, other]
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
        print(f"seconds over {name}: {gain.mean():+.3f} ± {error:.3f}")


if __name__ == "__main__":
    main(study)
