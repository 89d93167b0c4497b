"""How well two measurements of the same programs agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; NaN pairs are left out."""
    both = np.isfinite(a) & np.isfinite(b)
    first, second = (np.argsort(np.argsort(x[both])) for x in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def agreement(
    first: NDArray[np.float64], second: NDArray[np.float64], tasks: Sequence[int]
) -> dict[str, float | None]:
    """Mean rank correlation within a task, and the median relative deviation.

    `near_best` is the rank correlation among the programs within twice the task's best: the ones
    whose order matters most.
    """
    task = np.asarray(tasks)
    within, near = [], []
    for t in np.unique(task):
        a, b = first[task == t], second[task == t]
        within.append(spearman(a, b))
        fast = a <= 2 * np.nanmin(a)
        if (fast & np.isfinite(b)).sum() >= 5:
            near.append(spearman(a[fast], b[fast]))
    deviation = np.abs(np.log(second / first))
    return {
        "within_task": round(float(np.nanmean(within)), 4),
        "near_best": round(float(np.nanmean(near)), 4) if near else None,
        "median_deviation": round(float(np.nanmedian(deviation)), 4),
        "p90_deviation": round(float(np.nanquantile(deviation, 0.9)), 4),
    }
