"""When do more measurements stop paying? The rule of ``--until-saturated`` on recorded pools.

    python experiments/saturation.py --records FILE [POOL...] [--selectors balto biased-lcmd]
        [--seeds 8] [--first-seed 0] [--budget 0.4] [--rounds 40] [--threshold 0.005]

Each run replays a pool to a large budget. A tenth of every task is held out as a campaign would, and
that is all that the estimate sees; another quarter is kept from it, and judges. ``--records`` keeps
one JSON line a run, so that a study can run in parts; the tables are of all runs in the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from balto.data.pool import Pool
from balto.learn.loop import ActiveLearner
from balto.learn.metrics import evaluate
from balto.learn.settings import LoopSettings
from balto.measure.recorded import ReplayMeasurer
from balto.models import create
from balto.programs.recorded import read_pool
from balto.select import get

POOLS = Path(__file__).resolve().parents[1] / "pools"
#: Shares of a task: what a campaign holds out, and what judges it here.
SEEN, JUDGED = 0.1, 0.25


def run(pool: Pool, selector: str, seed: int, budget: float, rounds: int) -> dict[str, object]:
    """One replay: after each round Top-1 on the held-out programs, and on those that judge."""
    settings = LoopSettings(budget=budget, rounds=rounds, test_share=SEEN + JUDGED, seed=seed)
    rng = np.random.default_rng([seed, 4])
    with ReplayMeasurer(pool) as measurer:
        learner = ActiveLearner(pool, measurer, get(selector), create("xgb", seed), settings)
        parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for k, test in enumerate(learner.split.test):
            drawn = rng.permutation(test) + pool.offsets[k]
            cut = max(1, round(len(drawn) * SEEN / (SEEN + JUDGED)))
            parts[0].append(np.sort(drawn[:cut]))
            parts[1].append(np.sort(drawn[cut:]))
        seen, judged = (np.concatenate(part) for part in parts)
        learner.measure_test()
        curve = []
        for number in range(1, rounds + 1):
            result = learner.round(number)
            both = [_top1(pool, learner, index) for index in (seen, judged)]
            curve.append([result.measurements, *both[0], both[1][0]])
    return {
        "selector": selector,
        "seed": seed,
        "selectable": int(sum(map(len, learner.split.train))),
        "curve": curve,
    }


def _top1(pool: Pool, learner: ActiveLearner, index: np.ndarray) -> tuple[float, float]:
    scores = learner._scores[index]
    latency = pool.latency_s[index]
    accuracy, _ = evaluate(scores, scores, latency, pool.task_of_program[index])
    return accuracy.top1_halves, accuracy.top1_halves_sd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pools", nargs="*", type=Path, default=sorted(POOLS.glob("epyc-*")))
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--selectors", nargs="+", default=["balto", "biased-lcmd"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    for path in options.pools:
        pool = read_pool(path)
        for selector in options.selectors:
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                record = run(pool, selector, seed, options.budget, options.rounds)
                with options.records.open("a") as file:
                    file.write(json.dumps({"pool": path.name, **record}) + "\n")


if __name__ == "__main__":
    main()
