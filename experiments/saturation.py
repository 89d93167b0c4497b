"""When do more measurements stop paying? The rule of ``--until-saturated`` on recorded pools.

    python experiments/saturation.py --records FILE [POOL...] [--selectors balto biased-lcmd]
        [--seeds 3] [--first-seed 0] [--budget 0.4] [--rounds 40] [--every 1]

Each run replays a pool to a large budget. A tenth of every task is held out as a campaign does, and
that is all that the estimate sees; another quarter is kept from it, and judges. ``--records`` adds
one JSON line a run to the file, so that a study can run in parts (``--seeds 0`` runs none), and the
tables are of all runs in it: how well the gain of the next 2 % is foretold, against two simpler
rules, and what stopping saves and costs. `docs/notes/saturation.md` holds what came out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from balto.data.pool import Pool
from balto.learn.loop import ActiveLearner
from balto.learn.metrics import Accuracy, evaluate
from balto.learn.round import Round
from balto.learn.saturation import LEAST_GAIN, STEP, Outlook, outlook
from balto.learn.settings import LoopSettings
from balto.measure.recorded import ReplayMeasurer
from balto.models import create
from balto.programs.recorded import read_pool
from balto.select import get

POOLS = Path(__file__).resolve().parents[1] / "pools"
#: Shares of a task: what a campaign holds out, and what judges it here.
SEEN, JUDGED = 0.1, 0.25
#: Rounds on either side over which the judging Top-1 is averaged: it is as noisy as the seen one.
AROUND = 2


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


def rounds_of(record: dict, stop: int) -> list[Round]:
    """The first rounds of a run, as a campaign would have them."""
    nothing = float("nan")
    return [
        Round(
            *(k + 1, {}, measured, 0.0, {}),
            Accuracy(nothing, nothing, nothing, nothing, seen, sd),
            *({}, 0.0, 0.0),
        )
        for k, (measured, seen, sd, _) in enumerate(record["curve"][:stop])
    ]


def smoothed(values: np.ndarray) -> np.ndarray:
    """Each the mean of itself and up to `AROUND` neighbours on either side."""
    return np.array(
        [values[max(0, k - AROUND) : k + AROUND + 1].mean() for k in range(len(values))]
    )


def at(record: dict, values: np.ndarray, measurements: float) -> float:
    """A curve between its rounds."""
    return float(np.interp(measurements, [p[0] for p in record["curve"]], values))


def gains(records: list[dict]) -> np.ndarray:
    """For each round: share measured; expected gain, its error, what the last 2 % brought; actual.

    Expected and last are of the held-out programs that the estimate sees, actual is of the others.
    """
    rows = []
    for record in records:
        seen, judged = (np.array([p[k] for p in record["curve"]]) for k in (1, 3))
        for k in range(len(seen)):
            expected = outlook(rounds_of(record, k + 1), record["selectable"])
            now = record["curve"][k][0]
            if expected is None or now + expected.measurements > record["curve"][-1][0]:
                continue
            actual = at(record, judged, now + expected.measurements) - judged[k]
            last = seen[k] - at(record, seen, now - expected.measurements)
            share = now / record["selectable"]
            rows.append((share, expected.gain, expected.error, last, actual))
    return np.array(rows)


def print_heads(*names: str) -> None:
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")


def print_gains(records: list[dict]) -> None:
    """How well the next gain is foretold, by share of the programs measured, in points."""
    table = gains(records)
    heads = ("measured", "rounds", "expected", "its error", "actual", "error of the mean")
    print_heads(*heads, "RMSE", "of 'none'", "of 'as the last'")
    for low, high in ((0.0, 0.05), (0.05, 0.1), (0.1, 0.15), (0.15, 0.2), (0.2, 0.3), (0.3, 0.4)):
        rows = table[(table[:, 0] > low) & (table[:, 0] <= high)]
        if not len(rows):
            continue
        _, gain, error, last, actual = 100 * rows.T
        rmse = [float(np.sqrt(np.mean((guess - actual) ** 2))) for guess in (gain, 0.0, last)]
        print(
            f"| {low:.0%} to {high:.0%} | {len(rows)} | {gain.mean():+.2f} | {error.mean():.2f} "
            f"| {actual.mean():+.2f} | {actual.std() / np.sqrt(len(records)):.2f} "
            f"| {rmse[0]:.2f} | {rmse[1]:.2f} | {rmse[2]:.2f} |"
        )


def stop_of(record: dict, least: float, confident: bool) -> int:
    """At which place of the curve a campaign stops."""
    for k in range(len(record["curve"])):
        expected = outlook(rounds_of(record, k + 1), record["selectable"])
        if expected is not None and _stops(expected, least, confident):
            return k
    return len(record["curve"]) - 1


def _stops(expected: Outlook, least: float, confident: bool) -> bool:
    scaled = Outlook(1, expected.gain * LEAST_GAIN / least, expected.error * LEAST_GAIN / least)
    return scaled.saturated if confident else expected.gain < least


def print_stops(records: list[dict]) -> None:
    """What stopping saves and costs; the truth is the mean curve of a pool and selector."""
    truth = {}
    for record in records:
        key = record["pool"], record["selector"]
        truth.setdefault(key, []).append([p[3] for p in record["curve"]])
    expected = {key: smoothed(np.mean(curves, axis=0)) for key, curves in truth.items()}
    heads = ("stops under", "sure", "measured", "saved", "next 2 % there")
    print_heads(*heads, "too soon", "by", "left to the end")
    for least in (LEAST_GAIN / 2, LEAST_GAIN, 2 * LEAST_GAIN):
        for confident in (False, True):
            rows = []
            for record in records:
                curve = expected[record["pool"], record["selector"]]
                k = stop_of(record, least, confident)
                now, end = record["curve"][k][0], record["curve"][-1][0]
                ahead = at(record, curve, now + STEP * record["selectable"]) - curve[k]
                rows.append(
                    (now / record["selectable"], 1 - now / end, ahead, curve[-1] - curve[k])
                )
            share, saved, ahead, left = np.array(rows).T
            soon = ahead > least
            by = 100 * (ahead[soon] - least).mean() if soon.any() else 0.0
            print(
                f"| {100 * least:.1f} | {'yes' if confident else 'no'} | {share.mean():.1%} ± "
                f"{share.std():.1%} | {saved.mean():.0%} | {100 * ahead.mean():+.2f} "
                f"| {soon.mean():.0%} | {by:.2f} | {100 * left.mean():+.1f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pools", nargs="*", type=Path, default=sorted(POOLS.glob("epyc-*")))
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--selectors", nargs="+", default=["balto", "biased-lcmd"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--every", type=int, default=1, help="look after each N-th round alone")
    options = parser.parse_args()
    for path in options.pools if options.seeds else ():
        pool = read_pool(path)
        for selector in options.selectors:
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                record = run(pool, selector, seed, options.budget, options.rounds)
                with options.records.open("a") as file:
                    file.write(json.dumps({"pool": path.name, **record}) + "\n")
    records = [json.loads(line) for line in options.records.read_text().splitlines()]
    for record in records:
        record["curve"] = record["curve"][options.every - 1 :: options.every]
    print(f"{len(records)} runs; gains and errors in points of Top-1\n")
    print_gains(records)
    print()
    print_stops(records)


if __name__ == "__main__":
    main()
