"""Which selector is worth more than the paper's: candidates on recorded pools, paired by seed.

    python experiments/selection_study.py [POOL...] [--budget 0.05] [--rounds 15] [--seeds 5]
        [--first-seed 0] [--selectors random balto lcmd top ...] [--records FILE]

Every selector runs the same loop on the same split and the same random first round. Besides Top-1
and Top-5 on the held-out programs, `halves` is printed: Top-1 over random halves of the held-out
programs, 60 a task. It asks the same of the model as Top-1 and depends less on one lucky program.
Means are over the pools' means; differences are to `balto` at the same pool and seed, with their
standard errors. ``--records`` adds one JSON line a run to a file, and prints the table of all that
are in it, so that a study can run in parts. The candidates below are not in the product;
`docs/notes/selection-study.md` says what became of them.
"""

# ruff: noqa: ARG001  (every rule has one signature)

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.learn.loop import ActiveLearner
from balto.learn.metrics import relative_throughput, top_k
from balto.learn.settings import LoopSettings
from balto.measure.recorded import ReplayMeasurer
from balto.models import create
from balto.select import SELECTORS, get
from balto.select.base import Selector, TaskState
from balto.select.distance import Points
from balto.select.farthest_first import farthest_first
from balto.select.lcmd import largest_cluster_picks

POOLS = Path(__file__).resolve().parents[1] / "pools"
TEST_SHARE = 0.25
METRICS = ("top1", "top5", "halves")

Picks = np.ndarray
Rule = Callable[[TaskState, int, np.random.Generator], Picks]


@dataclass(frozen=True)
class Candidate(Selector):
    """A selector made of a function, and perhaps another one for the first round."""

    name: str
    by: Rule
    first: Rule | None = None

    def select(self, state: TaskState, budget: int, rng: np.random.Generator) -> Picks:
        """The first round by `first`, if there is one."""
        if state.predictions is None and self.first and budget > 0:
            return self.first(state, min(budget, len(state.unlabelled)), rng)
        return super().select(state, budget, rng)

    def choose(self, state: TaskState, budget: int, rng: np.random.Generator) -> Picks:
        """By the function."""
        return self.by(state, budget, rng)


def shipped(name: str) -> Rule:
    return lambda state, budget, rng: get(name).select(state, budget, rng)


def best_first(score: np.ndarray, state: TaskState) -> Picks:
    return state.unlabelled[np.argsort(-score[state.unlabelled], kind="stable")]


def top(state, budget, rng):
    """Pure exploitation: the best predicted."""
    return best_first(state.scores(), state)[:budget]


def optimism(state: TaskState) -> np.ndarray:
    members = np.clip(state.ensemble(), 0, None)
    return state.scores() + members.std(axis=0)


def ucb(state, budget, rng):
    """Upper confidence bound of the ensemble."""
    return best_first(optimism(state), state)[:budget]


def optimistic_output(state, budget, rng):
    """Output diversity on the upper confidence bound."""
    return farthest_first(optimism(state), state.labelled, budget, biased=False)


def thompson(spread: float) -> Rule:
    """Each pick is the best of a random mixture of the members, their spread scaled."""

    def choose(state, budget, rng):
        members, free, picks = state.ensemble(), np.ones(state.size, dtype=bool), []
        mean = members.mean(axis=0)
        free[state.labelled] = False
        for _ in range(budget):
            drawn = mean + spread * (rng.dirichlet(np.full(len(members), 0.7)) @ members - mean)
            picks.append(int(np.argmax(np.where(free, drawn, -np.inf))))
            free[picks[-1]] = False
        return np.array(picks)

    return choose


def random_of_top(share: float) -> Rule:
    """Random programs of the best predicted `share`."""

    def choose(state, budget, rng):
        fast = best_first(state.scores(), state)
        return rng.permutation(fast[: max(budget, round(share * len(fast)))])[:budget]

    return choose


def by_rank(state, budget, rng):
    """Random programs; the chance falls by e with every tenth of the predicted order."""
    fast = best_first(state.scores(), state)
    chance = np.exp(-np.arange(len(fast)) / (0.1 * len(fast)))
    return rng.choice(fast, budget, replace=False, p=chance / chance.sum())


def far_of_top(times: int) -> Rule:
    """Far from each other in features, among the `times` x budget best predicted."""

    def choose(state, budget, rng):
        points, near = Points.of(state.features()), np.full(state.size, np.inf)
        for _, block in points.blocks(state.labelled):
            near = np.minimum(near, block.min(axis=1))
        free, picks = np.zeros(state.size, dtype=bool), []
        free[best_first(state.scores(), state)[: times * budget]] = True
        for _ in range(budget):
            picks.append(int(np.argmax(np.where(free, near, -1))))
            free[picks[-1]] = False
            near = np.minimum(near, points.squared_distances(np.array(picks[-1:]))[:, 0])
        return np.array(picks)

    return choose


def alternating(first: Rule, second: Rule) -> Rule:
    """Batch composition: every other pick by one rule, the rest by another."""

    def choose(state, budget, rng):
        share = (budget + 1 - len(state.labelled) % 2) // 2
        head = first(state, share, rng).tolist() if share else []
        tail = [p for p in second(state, budget, rng).tolist() if p not in head]
        return np.array((head + tail)[:budget])

    return choose


def predicted_switch(state, budget, rng):
    """`balto` with D_KL of what the model predicts for the labelled programs, not of their y."""
    y = np.clip(state.scores()[state.labelled], 1e-3, 1)
    rule = "biased-diversity" if not len(y) or -np.log(y).mean() > 1 else "output-diversity"
    return shipped(rule)(state, budget, rng)


def cover(state, budget, rng):
    """First round: LCMD in feature space."""
    return largest_cluster_picks(state.features(), state.labelled, budget)


RULES: dict[str, Rule] = {
    "top": top,
    "ucb": ucb,
    "thompson": thompson(1.0),
    "thompson-wide": thompson(3.0),
    "optimistic-output": optimistic_output,
    "random-of-top-10%": random_of_top(0.1),
    "random-of-top-25%": random_of_top(0.25),
    "by-rank": by_rank,
    "far-of-top-3x": far_of_top(3),
    "far-of-top-10x": far_of_top(10),
    "output|top": alternating(shipped("output-diversity"), top),
    "lcmd|top": alternating(shipped("lcmd"), top),
    "biased-lcmd|top": alternating(shipped("biased-lcmd"), top),
    "balto:predicted": predicted_switch,
    **{name: shipped(name) for name in (f"balto:C={c}" for c in (0.25, 0.5, 2.0))},
    **{name: shipped(name) for name in (f"biased-lcmd:power={p}" for p in (1.0, 3.0, 4.0))},
}


def selector(name: str) -> Selector:
    """A shipped selector or a candidate; ``cover+NAME`` chooses the first round by features."""
    prefix, _, rest = name.rpartition("+")
    rule = RULES.get(rest)
    if rule is None and not prefix:
        return get(rest)
    return Candidate(name, rule or shipped(rest), cover if prefix else None)


class Sharing(ActiveLearner):
    """Shares half of each round's budget out by how much is unknown about a task's fast programs.

    That is the mean of ``f^2 var(f)`` over its unlabelled programs; the other half goes by size.
    """

    def _select(self, number: int):
        if self._asked is not None:
            states = [self._state(k) for k in self._ids]
            unknown = np.array([self._unknown(state) for state in states])
            total = int(self.schedule[:, number - 1].sum())
            share = 0.5 * self.budget / self.budget.sum() + 0.5 * unknown / unknown.sum()
            # What was owed and not given for rounding is given later.
            owed = getattr(self, "_owed", 0) + share * total
            given = np.zeros(len(states), dtype=np.int64)
            for _ in range(total):
                given[np.argmax(owed - given)] += 1
            given = np.minimum(given, [len(state.unlabelled) for state in states])
            self._owed = owed - given
            self.schedule[:, number - 1] = given
        return super()._select(number)

    def _unknown(self, state: TaskState) -> float:
        spread = np.clip(state.ensemble(), 0, None).var(axis=0)
        return float((state.scores() ** 2 * spread)[state.unlabelled].mean())


def halves(scores: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> float:
    """Mean Top-1 over 60 random halves of one task's held-out programs."""
    drawn = [rng.permutation(len(labels))[: max(1, len(labels) // 2)] for _ in range(60)]
    return float(np.mean([top_k(scores[h], labels[h], 1) for h in drawn if labels[h].any()]))


def run(pool: Pool, name: str, model: str, settings: LoopSettings) -> dict[str, float]:
    loop, name = (Sharing, name[6:]) if name.startswith("share+") else (ActiveLearner, name)
    with ReplayMeasurer(pool) as measurer:
        learner = loop(pool, measurer, selector(name), create(model, settings.seed), settings)
        last = learner.run().rounds[-1]
        rng, each = np.random.default_rng(settings.seed), []
        for k, held_out in enumerate(learner.split.test):
            programs = np.array(pool.programs(k))[held_out]
            labels = relative_throughput(
                pool.latency_s[programs], np.zeros(len(programs), dtype=np.int32)
            )
            if labels.any():
                scores = learner.model.predict(pool.features.take(programs))
                each.append(halves(scores, labels, rng))
    assert last.accuracy
    return {
        "top1": last.accuracy.top1,
        "top5": last.accuracy.top5,
        "halves": float(np.mean(each)),
        "seconds": last.seconds,
    }


def table(records: list[dict]) -> str:
    """Means over the pools, and differences to `balto` paired by pool and seed."""
    lines = []
    for where in sorted({(r["budget"], r["rounds"]) for r in records}):
        here = [r for r in records if (r["budget"], r["rounds"]) == where]
        pools = sorted({r["pool"] for r in here})
        base = {(r["pool"], r["seed"]): r for r in here if r["selector"] == "balto"}
        lines.append(f"{where[0]:.1%} of the labels, {where[1]} rounds; pools {', '.join(pools)}")
        for name in dict.fromkeys(r["selector"] for r in here):
            mine = [r for r in here if r["selector"] == name]
            cells = [f"{name:18s} n={len(mine):3d}"]
            for metric in (*METRICS, "seconds"):
                parts, means = [], []
                for pool in pools:
                    of = [r for r in mine if r["pool"] == pool]
                    if of:
                        means.append(np.mean([r[metric] for r in of]))
                    with_base = [r for r in of if (pool, r["seed"]) in base]
                    parts.append([r[metric] - base[pool, r["seed"]][metric] for r in with_base])
                parts = [p for p in parts if len(p) > 1]
                if metric == "seconds":
                    cells.append(f"measuring {np.mean(means):.1f} s")
                elif parts:
                    difference = np.mean([np.mean(p) for p in parts])
                    error = sum(np.var(p, ddof=1) / len(p) for p in parts) ** 0.5 / len(parts)
                    cells.append(f"{metric} {np.mean(means):.3f} ({difference:+.3f} ± {error:.3f})")
            lines.append("  ".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pools_there = sorted(path for path in POOLS.iterdir() if path.is_dir())
    parser.add_argument("pools", nargs="*", type=Path, default=pools_there)
    parser.add_argument("--budget", nargs="+", type=float, default=[0.05])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--model", default="xgb")
    parser.add_argument("--selectors", nargs="+", default=[*SELECTORS, *RULES])
    parser.add_argument("--records", type=Path, help="add one JSON line a run to this file")
    arguments = parser.parse_args()
    pools = {path.name: read_pool(path) for path in arguments.pools}
    names = dict.fromkeys(["balto", *arguments.selectors])
    records = []
    if arguments.records and arguments.records.exists():
        records = [json.loads(line) for line in arguments.records.read_text().splitlines()]
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for pool_name, pool in pools.items():
            for budget in arguments.budget:
                for name in names:
                    settings = LoopSettings(
                        budget=budget,
                        rounds=arguments.rounds,
                        test_share=TEST_SHARE,
                        seed=seed,
                    )
                    record = {
                        "pool": pool_name,
                        "budget": budget,
                        "rounds": arguments.rounds,
                        "seed": seed,
                        "selector": name,
                        **run(pool, name, arguments.model, settings),
                    }
                    records.append(record)
                    if arguments.records:
                        with arguments.records.open("a") as file:
                            file.write(json.dumps(record) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
