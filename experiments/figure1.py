"""Figure 1: how rare high-performance programs are among random ones.

    python experiments/figure1.py --pool pools/epyc-avx2 pools/epyc-sse

Relative performance of a program is the latency of its task's best program over its own; a program
that failed has 0. The paper does not define from where a program is high-performance: the table has
several thresholds. Nothing is trained.
"""

from __future__ import annotations

from pathlib import Path

import _intervals as st
import numpy as np
from _page import publish
from _replay import fingerprint, read_pool
from _study import arguments, main
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

import balto
from balto.data.files import make_folder
from balto.learn.metrics import relative_throughput
from balto.report.drawing import SERIES

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)


def labels(pool: balto.Pool) -> list[np.ndarray]:
    """Relative performance of the programs of each task."""
    y = relative_throughput(pool.latency_s, pool.task_of_program)
    return [y[pool.programs(k).start : pool.programs(k).stop] for k in range(len(pool.tasks))]


def draw(found: dict[str, list[np.ndarray]]) -> Figure:
    """A histogram a pool."""
    figure = Figure(figsize=(3.4 * max(2, len(found)), 3.2), layout="constrained")
    edges = np.linspace(0, 1, 11)
    for ax, (path, tasks) in zip(
        np.ravel(figure.subplots(1, len(found))), found.items(), strict=True
    ):
        share = np.mean([np.histogram(y, edges)[0] / len(y) for y in tasks], axis=0)
        colours = [SERIES[0] if edge >= 0.5 else SERIES[1] for edge in edges[:-1]]
        ax.bar(edges[:-1] + 0.05, share, 0.09, color=colours)
        ax.set_title(Path(path).name)
        ax.set_xlabel("relative performance")
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def study() -> None:
    options = arguments(__doc__).parse_args()
    found = {path: labels(read_pool(path)) for path in options.pool}
    rows = []
    for path, tasks in found.items():
        shares = [[float(np.mean(y >= t)) for y in tasks] for t in THRESHOLDS]
        rows.append(
            [Path(path).name, len(tasks), sum(map(len, tasks))]
            + [st.estimate([st.Ratio.mean(fingerprint(path), [np.array(s)])]) for s in shares]
        )
    make_folder(options.out)
    head = ["pool", "tasks", "programs", *(f"at least {t:.1f}" for t in THRESHOLDS)]
    words = (
        "The share of random programs that reach a part of the speed of their task's best one. The "
        "paper reports 19 % on a Platinum 8272CL and 8 % on a T4, without its threshold."
    )
    publish(
        *(options.out, "figure1", "Figure 1: high-performance programs are rare", words),
        [("Mean over the tasks; 95 % by bootstrap over tasks", head, rows)],
        lambda: draw(found),
    )


if __name__ == "__main__":
    main(study)
