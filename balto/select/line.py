"""The exact greedy of Algorithms 1 and 2, on the line of predictions.

Both algorithms pick, again and again, the program whose prediction is farthest from those of the
labelled and picked programs, the *references*. A prediction is one number, so the nearest
reference of a program is one of the two that it lies between: a pick changes the scores of the
programs in its own gap only. Programs are therefore kept in one list a gap and gaps in a heap by
their best program; a pick splits its gap in two. Nothing is sorted but the references.

Every program is scored by the expression of the literal algorithm, in the predictions' own
precision. Rounding is monotone, so the nearest reference after rounding is still a neighbour, and
the picks equal the literal O(B M^2) algorithm's bit for bit, ties to the lowest index included,
for predictions of either sign. Cost: O(M) to find the gaps, and for a pick the size of its gap.

Compiled by Numba, and kept in its cache: the first use on a machine takes some seconds.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_CELLS = 2048

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


def farthest_first(
    predictions: NDArray[np.floating[Any]],
    labelled: NDArray[np.int64],
    budget: int,
    *,
    biased: bool,
) -> NDArray[np.int64]:
    """Pick programs one by one, each time the one of the highest score.

    The score of program `i` is ``min_j |f_i - f_j|`` over the labelled and picked programs `j`,
    times ``f_i`` if `biased`. The minimum over no program is +inf, and ``0 * inf`` is 0.

    Args:
        predictions: f, `M` finite numbers.
        labelled: indices of the labelled programs.
        budget: how many to pick, at most as many as are unlabelled.
        biased: Algorithm 2 (section 3.3, line 3) in the place of Algorithm 1 with `d_out`.

    Returns:
        `budget` indices, in the order they were picked.
    """
    references = np.sort(predictions[labelled])
    free = np.ones(len(predictions), dtype=np.bool_)
    free[labelled] = False
    picks: NDArray[np.int64] = _pick(
        np.ascontiguousarray(predictions), references, free, budget, biased
    )
    return picks


@_compiled
def _pick(f: Any, references: Any, free: Any, budget: int, biased: bool) -> Any:
    k, size = len(references), len(f)
    # Gap g has the references low[g] and high[g]; its programs are head[g], after[head[g]], ...,
    # in ascending order, -1 at the end.
    low = np.full(k + 1 + budget, -np.inf, f.dtype)
    high = np.full(k + 1 + budget, np.inf, f.dtype)
    low[1 : k + 1] = references
    high[:k] = references
    head = np.full(k + 1 + budget, -1, np.int32)
    after = np.empty(size, np.int32)
    first, scale = _cells(references)
    for i in range(size - 1, -1, -1):
        if free[i]:
            g = _gap(f[i], references, first, scale)
            after[i] = head[g]
            head[g] = i
    best = np.full(k + 1 + budget, -1, np.int32)
    score = np.full(k + 1 + budget, -np.inf, f.dtype)
    for g in range(k + 1):
        best[g], score[g] = _best(f, low[g], high[g], head[g], after, biased)
    picks = np.empty(budget, np.int64)
    for b in range(budget):
        gaps = k + 1 + b
        top = -1
        for g in range(gaps):
            if best[g] >= 0 and (
                top < 0 or score[g] > score[top] or (score[g] == score[top] and best[g] < best[top])
            ):
                top = g
        picks[b] = best[top]
        _split(f, low, high, head, after, best[top], top, gaps)
        best[top], score[top] = _best(f, low[top], high[top], head[top], after, biased)
        best[gaps], score[gaps] = _best(f, low[gaps], high[gaps], head[gaps], after, biased)
    return picks


@_compiled
def _cells(references: Any) -> Any:
    """Table that finds gaps: `first[c]`, how many references lie in cells before cell `c`.

    The range of the references is cut into equal cells. The cell of a number is a monotone
    function of it whatever the rounding, so all references in earlier cells are smaller.
    """
    k = len(references)
    first = np.zeros(_CELLS + 1, np.int32)
    zero = references.dtype.type(0)
    if k < 2:
        return first, zero
    scale = references.dtype.type(_CELLS - 1) / (references[-1] - references[0])
    if not np.isfinite(scale):  # all references equal, or nearly
        return first, zero
    for r in references:
        first[_cell(r, references[0], scale) + 1] += 1
    for c in range(_CELLS):
        first[c + 1] += first[c]
    return first, scale


@_compiled
def _cell(x: Any, low: Any, scale: Any) -> Any:
    return 0 if scale == 0 else min(int((x - low) * scale), _CELLS - 1)


@_compiled
def _gap(x: Any, references: Any, first: Any, scale: Any) -> Any:
    """How many references are smaller than `x`."""
    k = len(references)
    if k == 0 or x <= references[0]:
        return 0
    if x > references[-1]:
        return k
    g = first[_cell(x, references[0], scale)]
    while references[g] < x:
        g += 1
    return g


@_compiled
def _best(f: Any, low: Any, high: Any, head: Any, after: Any, biased: bool) -> Any:
    """The best program of the list from `head` and its score; -1 and -inf if there is none."""
    best, best_score, i = -1, f.dtype.type(-np.inf), head
    while i >= 0:
        score = _score(f[i], low, high, biased)
        if best < 0 or score > best_score:
            best, best_score = i, score
        i = after[i]
    return best, best_score


@_compiled
def _score(f: Any, low: Any, high: Any, biased: bool) -> Any:
    """Score of a program between the references `low` and `high`, in its own precision."""
    distance = min(f - low, high - f)
    if not biased:
        return distance
    return f * distance if f != 0 else f


@_compiled
def _split(
    f: Any, low: Any, high: Any, head: Any, after: Any, picked: Any, left: Any, right: Any
) -> None:
    """Take `picked` out of the gap `left`, and move the programs above it to the gap `right`."""
    low[right], high[right] = f[picked], high[left]
    high[left] = f[picked]
    i = head[left]
    head[left] = -1
    last_left = last_right = -1
    while i >= 0:
        if f[i] > f[picked]:
            if last_right < 0:
                head[right] = i
            else:
                after[last_right] = i
            last_right = i
        elif i != picked:
            if last_left < 0:
                head[left] = i
            else:
                after[last_left] = i
            last_left = i
        i = after[i]
    if last_left >= 0:
        after[last_left] = -1
    if last_right >= 0:
        after[last_right] = -1
