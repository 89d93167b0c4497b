"""Figure 8: the programs that were measured in the first step, and in the last.

    python experiments/figure8.py --scale small

The first step is random. Shares the replays of `figure5.py` in the same folder.
"""

from __future__ import annotations

from collections.abc import Sequence

import _intervals as st
import numpy as np
from _page import publish
from _replay import Run, fingerprint
from _study import arguments, main, merged, run_all
from figure5 import cells
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from balto.report.drawing import SERIES

SCHEMES = ("random", "output-diversity", "balto", "biased-lcmd")


def chosen(run: Run, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and tasks of the first or last of the steps that measured anything."""
    steps = [r for r, labels in enumerate(run.labels) if labels]
    return np.array(run.labels[steps[step]]), np.array(run.label_tasks[steps[step]])


def fast(runs: Sequence[Run], step: int, pool: str) -> st.Ratio:
    """Programs of at least half of the best speed, over all that a step measured, by task."""
    above, below = [], []
    for run in runs:
        labels, task = chosen(run, step)
        above.append(np.bincount(task, labels >= 0.5, len(run.tasks)))
        below.append(np.bincount(task, minlength=len(run.tasks)))
    return st.Ratio(fingerprint(pool), np.array(above, float), np.array(below, float))


def study() -> None:
    options = arguments(__doc__).parse_args()
    found = run_all(cells(options, SCHEMES), options)
    if found is None:
        return
    merged(found, options.out, "figure8")
    edges = np.linspace(0, 1, 11)

    def histogram(scheme: str, step: int) -> np.ndarray:
        runs = [chosen(r, step)[0] for c, r in found.items() if c.scheme == scheme]
        return np.asarray(np.mean([np.histogram(y, edges)[0] / len(y) for y in runs], axis=0))

    def of(scheme: str, step: int) -> list[st.Ratio]:
        """The share of programs of at least half of the best speed, by pool."""
        return [
            fast([r for c, r in found.items() if (c.pool, c.scheme) == (pool, scheme)], step, pool)
            for pool in options.pool
        ]

    def draw() -> Figure:
        figure = Figure(figsize=(3.4 * len(SCHEMES), 3.2), layout="constrained")
        axes = figure.subplots(1, len(SCHEMES), sharey=True)
        for ax, scheme in zip(axes, SCHEMES, strict=True):
            for i, (step, name) in enumerate(((0, "first step"), (-1, "last step"))):
                place = edges[:-1] + 0.03 + 0.04 * i
                ax.bar(place, histogram(scheme, step), 0.04, color=SERIES[1 - i], label=name)
            ax.set_title(scheme)
            ax.set_xlabel("relative performance")
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes[0].legend()
        return figure

    rows = []
    for scheme in SCHEMES:
        first, last = of(scheme, 0), of(scheme, -1)
        change = st.difference(last, first).signed
        rows.append([scheme, st.estimate(first), st.estimate(last), change])
    head = ["scheme", "first step", "last step", "difference"]
    words = (
        "Relative to the best program of the task in the pool; a program that failed counts as 0."
    )
    publish(
        *(options.out, "figure8", "Figure 8: what is measured, first and last step", words),
        [("Share of at least half of the best speed; 95 % over tasks and seeds", head, rows)],
        draw,
    )


if __name__ == "__main__":
    main(study)
