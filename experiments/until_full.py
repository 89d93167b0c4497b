"""How many measurements until the accuracy of all labels; the replays of `curve.py`.

    python experiments/until_full.py --scale small

The share of the labels from which on the mean accuracy of a scheme is at least a part of that of
all labels, interpolated between the rounds; "more" where it never is.
"""

from __future__ import annotations

import _intervals as st
import numpy as np
from _page import publish
from _replay import FULL
from _study import main
from curve import lines, name_of, options_of, ratios, replays, shares

PARTS = (0.8, 0.9, 0.95, 0.98)


def crossing(spent: np.ndarray, curve: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Where curves, ``R x D``, pass levels, `D`, for good: shares, infinite where they do not."""
    found = np.full(curve.shape[1], np.inf)
    for d, (values, goal) in enumerate(zip(curve.T, level, strict=True)):
        below = np.flatnonzero(values < goal)
        if not len(below):
            found[d] = spent[0]
        elif (last := below[-1]) + 1 < len(spent):
            part = (goal - values[last]) / (values[last + 1] - values[last])
            ends = np.log(spent[last : last + 2])
            found[d] = np.exp(ends[0] + part * (ends[1] - ends[0]))
    return found


def study() -> None:
    options = options_of(__doc__).parse_args()
    found = replays(options, "until_full")
    if found is None:
        return
    spent = shares(found)

    def with_draws(line: tuple[str, bool], place: int) -> np.ndarray:
        """The estimate, and its bootstrap draws, ``1 + D``."""
        pools = ratios(found, line, place)
        draws = np.mean([p.draws() for p in pools], axis=0)
        return np.append(np.mean([p.value() for p in pools]), draws)

    full = with_draws((FULL, False), -1)
    rows = []
    for line in lines(options):
        curve = np.array([with_draws(line, place) for place in range(len(spent))])
        row: list[object] = [name_of(line)]
        for part in PARTS:
            at = crossing(spent, curve, part * full)
            low, high = np.quantile(at[1:], [0.025, 0.975], method="nearest")
            value, low, high = (_percent(share, spent[0]) for share in (at[0], low, high))
            row.append(f"{value} [{low}, {high}]")
        rows.append(row)
    head = ["scheme", *(f"{part:.0%} of full accuracy" for part in PARTS)]
    words = (
        f"{options.model}, {options.seeds} seeds, {len(options.pool)} pools; full accuracy is "
        f"Top-1 over halves {st.estimate(ratios(found, (FULL, False), -1))}."
    )
    publish(
        *(options.out, "until_full", "Measurements until full accuracy", words),
        [("Share of the labels needed; 95 % over tasks and seeds", head, rows)],
    )


def _percent(share: float, least: float) -> str:
    if not np.isfinite(share):
        return "more"
    return f"{'at most ' if share <= least else ''}{share:.1%}"


if __name__ == "__main__":
    main(study)
