"""Figure 4: GEMM of N = 512 + 64 i: performance relative to a search from scratch, and total time.

    python experiments/figure4.py --scale small   # three sizes, a tenth of 160 trials
    python experiments/figure4.py --scale paper   # i = 0 .. 79, 100 trials against 1,000

The paper trains on GEMM programs; here the models are of a recorded pool, none of whose operators
is among the sizes. Total time is that of measuring and training the model, and of the searches.
"""

from __future__ import annotations

from functools import partial

import _tuning as tuning
import matplotlib.pyplot as plt
import numpy as np
from _study import main
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SIZES = {"small": (0, 2, 4), "paper": tuple(range(80))}
TRIALS = {"small": 160, "paper": 1000}


def study() -> None:
    options = tuning.arguments(__doc__, "figure4").parse_args()
    rows = tuning.Rows(options.out)
    trials = TRIALS[options.scale]
    models = {
        name: rows.get(
            ["model", name],
            partial(tuning.model_of, options.out, options.pool, name, *spec),
        )
        for name, spec in tuning.MODELS.items()
    }
    found = []
    for i in SIZES[options.scale]:
        n = 512 + 64 * i
        task = tuning.task_of(f"matmul:{n}x{n}x{n}", options.pool)
        for seed in range(options.seeds):
            runs = {
                tuning.SCRATCH: rows.get(
                    [tuning.SCRATCH, n, trials, seed],
                    partial(tuning.scratch, task, trials, seed),
                )
            }
            for name, model in models.items():
                runs[name] = rows.get(
                    [name, n, trials // 10, seed],
                    partial(tuning.ours, task, model["path"], trials // 10, seed),
                )
            found += [
                {
                    "size": n,
                    "seed": seed,
                    "search": name,
                    "trials": len(run["latency_s"]),
                    "latency_s": tuning.best(run),
                    "relative_performance": tuning.best(runs[tuning.SCRATCH]) / tuning.best(run),
                    "seconds": run["seconds"],
                }
                for name, run in runs.items()
            ]
    tuning.publish(options.out, "figure4", draw(found, models), found)
    for name in models:
        relative = [row["relative_performance"] for row in found if row["search"] == name]
        print(f"{name}: {min(relative):.3f} to {max(relative):.3f}, mean {np.mean(relative):.3f}")


def draw(found: list[tuning.Row], models: dict[str, tuning.Row]) -> Figure:
    """(a) relative performance of every size; (b) total time against the number of tasks."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4), layout="constrained")
    sizes = sorted({row["size"] for row in found})
    for name, colour in zip([tuning.SCRATCH, *models], tuning.COLOURS, strict=False):
        mine = [[r for r in found if (r["size"], r["search"]) == (n, name)] for n in sizes]
        relative = [np.mean([r["relative_performance"] for r in rows]) for rows in mine]
        seconds = np.cumsum([np.mean([r["seconds"] for r in rows]) for rows in mine])
        start = models[name]["seconds"] if name in models else 0.0
        left.plot(sizes, relative, "o-", color=colour, label=name, markersize=4)
        total = (start + np.concatenate([[0], seconds])) / 60
        right.plot(range(len(sizes) + 1), total, "o-", color=colour, label=name, markersize=4)
    left.set(xlabel="N", ylabel="relative performance", title="(a) optimized performance")
    right.set(xlabel="tasks", ylabel="minutes", title="(b) total tuning time")
    left.set_ylim(0, 1.1 * max(row["relative_performance"] for row in found))
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main(study)
