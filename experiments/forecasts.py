"""Does the latency that a tuning foretells come true?

    python experiments/forecasts.py --runs 20 --out out/forecasts

Each run is one search of a small operator, or of a small network's tasks, with another seed. After
a quarter of its trials it says what the others will bring; the latency that its result has, timed
again as every result is, should lie in the interval nine times in ten. Runs are rows of
``rows.jsonl``: a script that is interrupted goes on from there. The tables have how often it did,
with the standard error; how far the latency was from what was expected; and how many trials were
foretold, of how many that there were.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
from _study import count, main
from _tuning import Row, Rows, arguments

import balto
from balto.data.target import Target
from balto.measure.live import LiveMeasurer
from balto.models.starter import StartingModel
from balto.search.forecast import Forecast
from balto.search.listener import SessionListener
from balto.search.pace import Pace
from balto.search.session import Session
from balto.search.slices import search_in_slices
from balto.search.task import SearchSettings

#: What is tuned in turn: operators, and groups of them in the place of a network.
ASKED = (
    ("matmul:128x256x192",),
    ("conv2d_nhwc:1x14x14x64x64x3x1x1",),
    ("depthwise_conv2d_nhwc:1x28x28x96x3x1x1",),
    ("softmax_mn:128x256",),
    ("matmul:64x512x256", "norm_bmn:1x128x256", "softmax_mn:64x512"),
    ("conv2d_nhwc:1x14x14x32x64x1x1x0", "depthwise_conv2d_nhwc:1x14x14x64x3x1x1"),
    ("batch_matmul_nkkm:4x64x32x64",),
)
#: The part of the trials after which a forecast is judged.
AFTER = 0.25


class Hears(SessionListener):
    """Keeps all forecasts, and when they came."""

    def __init__(self) -> None:
        self.since = time.perf_counter()
        self.told: list[tuple[float, Forecast]] = []

    def foretold(self, task: str, forecast: Forecast) -> None:  # noqa: ARG002
        """One more."""
        self.told.append((time.perf_counter() - self.since, forecast))


def run(asked: tuple[str, ...], seed: int, trials: int, minutes: float | None) -> Row:
    """One search: all forecasts, and what came of it."""
    tasks = balto.extract_tasks([], list(asked)).tasks
    target, settings, hears = Target.of(tasks[0].target), SearchSettings(), Hears()
    pace = Pace(trials * len(tasks), minutes) if minutes else Pace(trials * len(tasks))
    with LiveMeasurer.for_target(target) as measurer:
        model = StartingModel.of("starter", target).model
        session = Session(measurer, model, settings=settings, seed=seed, listener=hears)
        try:
            if len(tasks) == 1:
                tuned = [session.tune(tasks[0], pace)]
            else:
                tuned, _ = search_in_slices(session, tasks, pace, settings, hears)
        finally:
            session.close()
    return {
        "told": [[at, vars(each)] for at, each in hears.told],
        "latency_s": [sum(each.latency_s * each.task.weight for each in tuned)],
        "trials": sum(each.trials for each in tuned),
        "seconds": time.perf_counter() - hears.since,
    }


def judged(rows: list[Row]) -> None:
    """Print the table."""
    print("| asked | seed | trials | now | foretold | from | to | came | in it |")
    print("|---|---|---|---|---|---|---|---|---|")
    within, wrong = [], []
    for row in rows:
        done = [row["trials"] - each["trials"] for _, each in row["told"]]
        place = next(k for k, n in enumerate(done) if n >= AFTER * row["trials"])
        said, came = row["told"][place][1], row["latency_s"][0]
        within.append(said["low_s"] <= came <= said["high_s"])
        wrong.append(np.log(came / said["later_s"]))
        numbers = (said["now_s"], said["later_s"], said["low_s"], said["high_s"], came)
        words = " | ".join(f"{1e6 * each:,.1f}" for each in numbers)
        print(f"| {'+'.join(row['of'][0])} | {row['of'][1]} | {row['trials']} |", words, end=" | ")
        print("yes |" if within[-1] else "no |")
    error = np.sqrt(np.mean(within) * (1 - np.mean(within)) / len(within))
    print(
        f"\n{sum(within)} of {len(within)} in the interval ({np.mean(within):.2f} ± {error:.2f});"
    )
    bias = np.std(wrong, ddof=1) / np.sqrt(len(wrong)) if len(wrong) > 1 else float("nan")
    print(f"the logarithm of what came over what was foretold: {np.mean(wrong):+.3f} ± {bias:.3f}")


def study() -> None:
    parser = arguments(__doc__, "out/forecasts")
    parser.add_argument("--runs", type=count, default=20)
    parser.add_argument("--trials", type=count, default=48, help="Of each operator.")
    parser.add_argument("--minutes", type=float, help="Of each run, in the place of trials.")
    options = parser.parse_args()
    kept, rows = Rows(Path(options.out)), []
    for number in range(options.runs):
        asked, seed = ASKED[number % len(ASKED)], number // len(ASKED)
        key = [list(asked), seed, options.trials, options.minutes]
        made = partial(run, asked, seed, options.trials, options.minutes)
        rows.append(kept.get(key, made))
    judged(rows)


if __name__ == "__main__":
    main(study)
