"""Accuracy against seconds of building and measuring; the replays of `curve.py`.

    python experiments/seconds.py --scale small

Seconds are those recorded with each program, so they are the recording machine's. What choosing and
training cost comes on top, and is not in them.
"""

from __future__ import annotations

import numpy as np
from _intervals import estimate
from _page import curves, publish
from _replay import FULL
from _study import main
from curve import band, lines, name_of, options_of, ratios, replays


def study() -> None:
    options = options_of(__doc__).parse_args()
    found = replays(options, "seconds")
    if found is None:
        return
    series, rows = [], []
    for line in lines(options):
        of_pools = [runs for (there, _), runs in found.items() if there == line]
        spent = sum(np.mean([run.seconds for run in runs], axis=0) for runs in of_pools)
        counts = sum(np.mean([run.measurements for run in runs], axis=0) for runs in of_pools)
        there = band(found, line)
        series.append((name_of(line), spent, there))
        rows += [
            [
                name_of(line),
                round(counts[place]),
                f"{spent[place]:.0f}",
                f"{spent[place] / counts[place]:.2f}",
                estimate(ratios(found, line, place)),
            ]
            for place in range(len(spent))
        ]
    level = estimate(ratios(found, (FULL, False), -1))
    words = f"All pools together, {options.seeds} seeds; all labels reach {level}."
    head = ["scheme", "measurements", "seconds", "seconds each", "Top-1 over halves"]
    publish(
        *(options.out, "seconds", "Accuracy against seconds", words),
        [("What the same accuracy costs", head, rows)],
        lambda: curves(
            *(series, ("seconds of building and measuring", "Top-1"), "Accuracy against seconds"),
            level=level.value,
            log=True,
        ),
    )


if __name__ == "__main__":
    main(study)
