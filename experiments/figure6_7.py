"""Figures 6 and 7: best latency against trials: a batched matmul, and a convolution.

    python experiments/figure6_7.py --scale small   # 64 trials with a model, 128 from scratch
    python experiments/figure6_7.py --scale paper   # 1,000 trials of each, 5 seeds

From scratch is MetaSchedule's search with its own model; the others are our search with a model of
all labels of a recorded pool, and with one of the 5 % that BALTO chose.
"""

from __future__ import annotations

from functools import partial

import _tuning as tuning
import matplotlib.pyplot as plt
import numpy as np
from _study import main
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from balto.units import seconds

OPERATORS = {
    "figure6": ("batched matmul", "batch_matmul_nkkm:12x128x64x128"),
    "figure7": ("2D convolution", "conv2d_nhwc:1x28x28x96x96x3x1x1"),
}
#: Trials with a model, from scratch, and seeds.
SCALES = {"small": (64, 128, 1), "paper": (1000, 1000, 5)}


def study() -> None:
    options = tuning.arguments(__doc__, "figure6_7").parse_args()
    rows = tuning.Rows(options.out)
    with_model, from_scratch, seeds = SCALES[options.scale]
    models = {
        name: rows.get(
            ["model", name],
            partial(tuning.model_of, options.out, options.pool, name, *spec),
        )
        for name, spec in tuning.MODELS.items()
    }
    for figure, (title, operator) in OPERATORS.items():
        task = tuning.task_of(operator, options.pool)
        found = []
        for seed in range(max(seeds, options.seeds)):
            runs = {
                tuning.SCRATCH: rows.get(
                    [tuning.SCRATCH, operator, from_scratch, seed],
                    partial(tuning.scratch, task, from_scratch, seed),
                )
            }
            for name, model in models.items():
                runs[name] = rows.get(
                    [name, operator, with_model, seed],
                    partial(tuning.ours, task, model["path"], with_model, seed),
                )
            found += [
                {"search": name, "seed": seed, "trial": k, "best_s": float(best)}
                for name, run in runs.items()
                for k, best in enumerate(running_best(run), 1)
                if np.isfinite(best)
            ]
        tuning.publish(options.out, figure, draw(f"{title}, {operator}", found), found)


def running_best(run: tuning.Row) -> np.ndarray:
    """Best latency after each trial, seconds."""
    return np.minimum.accumulate([s or np.inf for s in run["latency_s"]])


def draw(title: str, found: list[tuning.Row]) -> Figure:
    """Mean over the seeds, and their range."""
    figure, ax = plt.subplots(figsize=(5.6, 4), layout="constrained")
    for name, colour in zip([tuning.SCRATCH, *tuning.MODELS], tuning.COLOURS, strict=False):
        by_trial: dict[int, list[float]] = {}
        for row in found:
            if row["search"] == name:
                by_trial.setdefault(row["trial"], []).append(row["best_s"])
        trials = sorted(by_trial)
        ax.step(
            *(trials, [np.mean(by_trial[k]) for k in trials]),
            where="post",
            color=colour,
            label=name,
        )
        low, high = ([f(by_trial[k]) for k in trials] for f in (min, max))
        ax.fill_between(trials, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
    ax.set(xlabel="trials", ylabel="best latency", title=title, yscale="log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    ax.legend()
    return figure


if __name__ == "__main__":
    main(study)
