"""Which selector is worth more than the paper's: candidates on recorded pools, paired by seed.

    python experiments/selection_study.py POOL... [--fraction 0.05 0.1] [--rounds 5] [--seeds 10]
        [--selectors random balto lcmd top ...] [--records FILE]

Every selector runs the same loop on the same split and the same random first round. Besides Top-1
and Top-5 on the held-out programs, `halves` is printed: Top-1 over random halves of the held-out
programs, 60 a task. It asks the same of the model as Top-1 and depends less on one lucky program.
Differences are to `balto` at the same seed, with their standard errors. The candidates below are
not in the product; `docs/selection-study.md` says what became of them.
"""

# ruff: noqa: ARG001  (every rule has one signature)

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balto.learn.loop import ActiveLearner, LoopSettings
from balto.learn.metrics import relative_throughput, top_k
from balto.measure.replay import ReplayMeasurer
from balto.models import create
from balto.pool.exchange import read_pool
from balto.pool.pool import Pool
from balto.select import SELECTORS, get
from balto.select.balto import Balto, KLSwitch
from balto.select.base import Selector, TaskState
from balto.select.distance import Points
from balto.select.line import farthest_first

Picks = np.ndarray
Rule = Callable[[TaskState, int, np.random.Generator], Picks]


@dataclass(frozen=True)
class Candidate(Selector):
    """A selector made of a function, and perhaps another one for the first round."""

    name: str
    choose: Rule
    first: Rule | None = None

    def select(self, state: TaskState, budget: int, rng: np.random.Generator) -> Picks:
        """The first round by `first`, if there is one."""
        if state.predictions is None and self.first and budget > 0:
            return self.first(state, min(budget, len(state.unlabelled)), rng)
        return super().select(state, budget, rng)

    def _choose(self, state: TaskState, budget: int, rng: np.random.Generator) -> Picks:
        return self.choose(state, budget, rng)


def shipped(name: str) -> Rule:
    return lambda state, budget, rng: get(name).select(state, budget, rng)


def highest(score: np.ndarray, state: TaskState, budget: int) -> Picks:
    order = np.argsort(-score[state.unlabelled], kind="stable")
    return state.unlabelled[order[:budget]]


def top(state, budget, rng):
    """Pure exploitation: the best predicted."""
    return highest(state.scores(), state, budget)


def optimism(state: TaskState) -> np.ndarray:
    members = state.ensemble()
    return np.clip(members.mean(axis=0) + members.std(axis=0), 0, None)


def ucb(state, budget, rng):
    """Upper confidence bound of the ensemble."""
    return highest(optimism(state), state, budget)


def thompson(state, budget, rng):
    """Thompson sampling: each pick is the best of a random member."""
    members, free, picks = state.ensemble(), np.ones(state.size, dtype=bool), []
    free[state.labelled] = False
    for member in rng.integers(len(members), size=budget):
        picks.append(int(np.argmax(np.where(free, members[member], -np.inf))))
        free[picks[-1]] = False
    return np.array(picks)


def optimistic_biased(state, budget, rng):
    """Algorithm 2 on the upper confidence bound."""
    return farthest_first(optimism(state), state.labelled, budget, biased=True)


def half_and_half(first: Rule, second: Rule) -> Rule:
    """Batch composition: half of the picks of one rule, then those of another."""

    def choose(state, budget, rng):
        head = first(state, (budget + 1) // 2, rng).tolist()
        tail = [p for p in second(state, budget, rng).tolist() if p not in head]
        return np.array((head + tail)[:budget])

    return choose


def weighted_farthest(x, weight, labelled, budget):
    """argmax_i w_i min_j ||x_i - x_j||."""
    points, near, picks = Points.of(x), np.full(len(x), np.inf), []
    for _, block in points.blocks(labelled):
        near = np.minimum(near, block.min(axis=1))
    free = np.ones(len(x), dtype=bool)
    free[labelled] = False
    for _ in range(budget):
        picks.append(int(np.argmax(np.where(free, weight * np.sqrt(near), -np.inf))))
        free[picks[-1]] = False
        near = np.minimum(near, points.squared_distances(np.array(picks[-1:]))[:, 0])
    return np.array(picks)


def weighted_lcmd(x, weight, labelled, budget):
    """LCMD with every squared distance times a weight of the program."""
    points, everyone = Points.of(x), np.arange(len(x))
    near, cluster = np.full(len(x), np.inf), np.zeros(len(x), dtype=np.int64)
    free = np.ones(len(x), dtype=bool)
    free[labelled] = False
    for part, block in points.blocks(labelled):
        closest = block.argmin(axis=1)
        nearer = block[everyone, closest] < near
        near[nearer] = block[everyone, closest][nearer]
        cluster[nearer] = closest[nearer] + part.start
    picks = []
    for b in range(budget):
        score = weight * near
        if b == 0 and not len(labelled):
            picks.append(int(np.argmin(points.norms)))
        else:
            sizes = np.bincount(cluster[free], weights=score[free])
            held = np.bincount(cluster[free]) > 0
            inside = free & (cluster == np.argmax(np.where(held, sizes, -np.inf)))
            picks.append(int(np.argmax(np.where(inside, score, -np.inf))))
        free[picks[-1]] = False
        distance = points.squared_distances(np.array(picks[-1:]))[:, 0]
        nearer = distance < near
        near[nearer], cluster[nearer] = distance[nearer], len(labelled) + b
    return np.array(picks)


def kernel(state: TaskState) -> np.ndarray:
    members = state.ensemble()
    return ((members - members.mean(axis=0)) / np.sqrt(len(members))).T


def among_fast(state: TaskState, power: float = 2.0) -> np.ndarray:
    return np.clip(state.scores(), 1e-9, None) ** power


def by_rank(state: TaskState, share: float) -> np.ndarray:
    """A weight that falls by e with every `share` of the programs in the predicted order."""
    ranks = np.empty(state.size)
    ranks[np.argsort(-state.scores(), kind="stable")] = np.arange(state.size)
    return np.exp(-ranks / (share * state.size))


def ensemble_lcmd(state, budget, rng):
    """LCMD in the ensemble kernel, weighted by f^2."""
    return weighted_lcmd(kernel(state), among_fast(state), state.labelled, budget)


def feature_lcmd(state, budget, rng):
    """LCMD in feature space, weighted by f^2: representative of the likely fast."""
    return weighted_lcmd(state.features(), among_fast(state), state.labelled, budget)


def ranked_lcmd(state, budget, rng):
    """LCMD in feature space, weighted by predicted rank."""
    return weighted_lcmd(state.features(), by_rank(state, 0.3), state.labelled, budget)


def feature_far(state, budget, rng):
    """Algorithm 2 with the distance of features."""
    return weighted_farthest(state.features(), among_fast(state, 1.0), state.labelled, budget)


def joint_far(state, budget, rng):
    """Algorithm 2 with the distance in features and prediction together, of equal variance."""
    f, x = state.scores(), state.features()
    x = x / np.sqrt(x.var(axis=0).sum() + 1e-12)
    joint = np.column_stack([x, (f - f.mean()) / (f.std() + 1e-12)])
    return weighted_farthest(joint, among_fast(state, 1.0), state.labelled, budget)


def biased_igs(state, budget, rng):
    """argmax_i f_i min_j ||x_i - x_j|| |f_i - f_j|: Algorithm 2 with the distance of iGS."""
    f, points, near = state.scores(), Points.of(state.features()), np.full(state.size, np.inf)
    for part, block in points.blocks(state.labelled):
        product = np.sqrt(block) * np.abs(f[:, None] - f[state.labelled[part]])
        near = np.minimum(near, product.min(axis=1))
    free, picks = np.ones(state.size, dtype=bool), []
    free[state.labelled] = False
    for _ in range(budget):
        picks.append(int(np.argmax(np.where(free, f * near, -np.inf))))
        free[picks[-1]] = False
        distance = np.sqrt(points.squared_distances(np.array(picks[-1:]))[:, 0])
        near = np.minimum(near, distance * np.abs(f - f[picks[-1]]))
    return np.array(picks)


def cover(state, budget, rng):
    """First round: LCMD in feature space, from the program nearest to the centroid."""
    return weighted_lcmd(state.features(), np.ones(state.size), state.labelled, budget)


RULES: dict[str, Rule] = {
    "top": top,
    "ucb": ucb,
    "thompson": thompson,
    "optimistic-biased": optimistic_biased,
    "top-random": half_and_half(top, shipped("random")),
    "top-output": half_and_half(top, shipped("output-diversity")),
    "top-biased": half_and_half(top, shipped("biased-diversity")),
    "top-balto": half_and_half(top, shipped("balto")),
    "top-lcmd": half_and_half(top, shipped("lcmd")),
    "ensemble-lcmd": ensemble_lcmd,
    "feature-lcmd": feature_lcmd,
    "ranked-lcmd": ranked_lcmd,
    "feature-far": feature_far,
    "joint-far": joint_far,
    "biased-igs": biased_igs,
    "balto:C=0.5": Balto(KLSwitch(0.5)).select,
    "balto:C=2": Balto(KLSwitch(2.0)).select,
}


def selector(name: str) -> Selector:
    """A shipped selector or a candidate; ``cover+NAME`` chooses the first round by features."""
    prefix, _, rest = name.rpartition("+")
    rule = RULES.get(rest)
    if rule is None and not prefix:
        return get(rest)
    return Candidate(name, rule or shipped(rest), cover if prefix else None)


def halves(scores: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> float:
    """Mean Top-1 over 60 random halves of one task's held-out programs."""
    drawn = [rng.permutation(len(labels))[: max(1, len(labels) // 2)] for _ in range(60)]
    return float(np.mean([top_k(scores[h], labels[h], 1) for h in drawn if labels[h].any()]))


def run(pool: Pool, name: str, model: str, settings: LoopSettings) -> dict[str, float]:
    with ReplayMeasurer(pool) as measurer:
        learner = ActiveLearner(
            pool, measurer, selector(name), create(model, settings.seed), settings
        )
        learner.measure_test()
        last = learner.run()[-1]
        rng, each = np.random.default_rng(settings.seed), []
        for k, held_out in enumerate(learner.test):
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
    """Means, and differences to `balto` paired by seed with standard errors."""
    lines = []
    for where in dict.fromkeys((r["pool"], r["fraction"]) for r in records):
        here = [r for r in records if (r["pool"], r["fraction"]) == where]
        lines.append(f"{where[0]}, {where[1]:.1%} of the labels")
        base = {r["seed"]: r for r in here if r["selector"] == "balto"}
        for name in dict.fromkeys(r["selector"] for r in here):
            mine = [r for r in here if r["selector"] == name]
            cells = [f"{name:18s} n={len(mine):2d}"]
            for metric in ("top1", "top5", "halves"):
                paired = [r[metric] - base[r["seed"]][metric] for r in mine if r["seed"] in base]
                error = np.std(paired, ddof=1) / np.sqrt(len(paired)) if len(paired) > 1 else np.nan
                mean = np.mean([r[metric] for r in mine])
                cells.append(f"{metric} {mean:.3f} ({np.mean(paired):+.3f} +- {error:.3f})")
            lines.append("  ".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--fraction", nargs="+", type=float, default=[0.05])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--model", default="xgb")
    parser.add_argument("--selectors", nargs="+", default=[*SELECTORS, *RULES])
    parser.add_argument("--records", type=Path, help="append one JSON line a run")
    arguments = parser.parse_args()
    pools = {path.name: read_pool(path) for path in arguments.pools}
    names = dict.fromkeys(["balto", *arguments.selectors])
    records = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for pool_name, pool in pools.items():
            for fraction in arguments.fraction:
                for name in names:
                    settings = LoopSettings(fraction, arguments.rounds, 0.25, seed)
                    record = {
                        "pool": pool_name,
                        "fraction": fraction,
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
