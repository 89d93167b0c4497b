"""The exact greedy of Algorithms 1 and 2, on the line of predictions.

Both algorithms pick, again and again, the program whose prediction is farthest from those of the
labelled and picked programs, the *references*. A prediction is one number, so the nearest
reference of a program is one of the two that it lies between: a pick changes the scores of the
programs in its own gap only. Programs are therefore kept in one list a gap; a pick splits its gap
in two; and a gap too narrow to hold the next pick is never looked into. Nothing is sorted but the
references, and all of it costs about what sorting the predictions does (`docs/differences.md`).

Every program is scored by the expression of the literal algorithm, in the predictions' own
precision. Rounding is monotone, so the nearest reference after rounding is still a neighbour, and
the picks equal the literal O(B M^2) algorithm's bit for bit, ties to the lowest index included,
for predictions of either sign.

Compiled by Numba, and kept in its cache: the first use on a machine takes some seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.compiled import jit

#: Cells of the table that finds the gap of a program.
_CELLS = 2048
#: In the place of a gap's best program: it was not looked into yet, or it has none.
_UNKNOWN, _EMPTY = -1, 2**31 - 1


def farthest_first(
    predictions: NDArray[np.floating[Any]],
    labelled: NDArray[np.int64],
    budget: int,
    *,
    biased: bool,
    references: NDArray[np.floating[Any]] | None = None,
) -> NDArray[np.int64]:
    """Pick programs one by one, each time the one of the highest score.

    The score of program `i` is ``min_j |f_i - f_j|`` over the labelled and picked programs `j`,
    times ``f_i`` if `biased`. The minimum over no program is +inf, and ``0 * inf`` is 0.

    Args:
        predictions: f, `M` finite numbers.
        labelled: indices of the labelled programs.
        budget: how many to pick, or all that are unlabelled.
        biased: Algorithm 2 (section 3.3, line 3) in the place of Algorithm 1 with `d_out`.
        references: numbers to keep away from in the place of the labelled programs' predictions.

    Returns:
        The picked indices, in the order they were picked.
    """
    f = np.ascontiguousarray(predictions)
    start = f[labelled] if references is None else references.astype(f.dtype)
    ends = np.append(np.sort(start), f.dtype.type(np.inf))
    free = np.ones(len(f), dtype=np.bool_)
    free[labelled] = False
    budget = min(budget, int(np.count_nonzero(free)))
    picks: NDArray[np.int64] = _pick(f, ends, free, budget, biased)
    return picks


@jit
def _pick(f: Any, references: Any, free: Any, budget: int, biased: bool) -> Any:
    """The picks; `references` are sorted, and +inf stands after the last one."""
    gaps = len(references)
    # Gap g lies between low[g] and high[g], the latter included. Its programs are head[g],
    # after[head[g]], ... in ascending order up to -1.
    low = np.full(gaps + budget, -np.inf, f.dtype)
    high = np.full(gaps + budget, np.inf, f.dtype)
    low[1:gaps] = references[:-1]
    high[:gaps] = references
    head, after = _lists(f, references, free, budget)
    # While a gap is unknown, its score is a bound that none of its programs exceeds.
    best = np.full(gaps + budget, _UNKNOWN, np.int32)
    score = np.empty(gaps + budget, f.dtype)
    for g in range(gaps):
        score[g] = _bound(low[g], high[g], biased)
    picks = np.empty(budget, np.int64)
    b = 0
    while b < budget:
        g = _top(best, score, gaps)
        if best[g] == _UNKNOWN:
            best[g], score[g] = _best(f, low[g], high[g], head[g], after, biased)
            continue
        picks[b] = u = best[g]
        b += 1
        low[gaps], high[gaps], high[g] = f[u], high[g], f[u]
        head[g], head[gaps] = _split(f, head[g], after, u)
        for part in (g, gaps):
            best[part], score[part] = _UNKNOWN, _bound(low[part], high[part], biased)
        gaps += 1
    return picks


@jit
def _lists(f: Any, references: Any, free: Any, budget: int) -> Any:
    """The free programs as one linked list a gap, with room for `budget` more gaps.

    The range of the references is cut into equal cells, and `first[c]` says how many references
    lie in cells before cell `c`. The cell of a number is a monotone function of it whatever the
    rounding, so those are smaller than any number of cell `c`: a walk from there finds its gap.
    """
    k = len(references) - 1
    zero, top = f.dtype.type(0), f.dtype.type(_CELLS - 1)
    scale = top / (references[k - 1] - references[0]) if k > 1 else zero
    cell = np.zeros(len(f), np.int32)
    first = np.zeros(_CELLS + 1, np.int32)
    if scale > 0 and np.isfinite(scale):  # else all in one cell: a longer walk
        for i in range(len(f)):
            cell[i] = np.int32(min(max((f[i] - references[0]) * scale, zero), top))
        for r in references[:k]:
            first[np.int32(min((r - references[0]) * scale, top)) + 1] += 1
        for c in range(_CELLS):
            first[c + 1] += first[c]
    head = np.full(k + 1 + budget, -1, np.int32)
    after = np.empty(len(f), np.int32)
    for i in range(len(f) - 1, -1, -1):
        if free[i]:
            g = first[cell[i]]
            while references[g] < f[i]:
                g += 1
            after[i] = head[g]
            head[g] = i
    return head, after


@jit
def _bound(low: Any, high: Any, biased: bool) -> Any:
    """What no score in the gap exceeds: half its width and a little more for rounding."""
    half = 0.51 * (high - low)
    if not biased or not np.isfinite(half):
        return half
    return half * max(high, 0.0)


@jit
def _top(best: Any, score: Any, gaps: int) -> Any:
    """The gap of the highest score; of equal ones an unknown gap, then that of the lowest index."""
    top = 0
    for g in range(1, gaps):
        if score[g] > score[top] or (score[g] == score[top] and best[g] < best[top]):
            top = g
    return top


@jit
def _best(f: Any, low: Any, high: Any, head: Any, after: Any, biased: bool) -> Any:
    """The best program of the list from `head`, and its score."""
    best, best_score, i = _EMPTY, f.dtype.type(-np.inf), head
    while i >= 0:
        distance = min(f[i] - low, high - f[i])
        score = distance if not biased else f[i] * distance if f[i] != 0 else f[i]
        if best == _EMPTY or score > best_score:
            best, best_score = i, score
        i = after[i]
    return best, best_score


@jit
def _split(f: Any, head: Any, after: Any, picked: Any) -> Any:
    """Split a list, less `picked`, into the programs up to it and those above it."""
    left = right = last_left = last_right = -1
    i = head
    while i >= 0:
        if f[i] > f[picked]:
            if last_right < 0:
                right = i
            else:
                after[last_right] = i
            last_right = i
        elif i != picked:
            if last_left < 0:
                left = i
            else:
                after[last_left] = i
            last_left = i
        i = after[i]
    if last_left >= 0:
        after[last_left] = -1
    if last_right >= 0:
        after[last_right] = -1
    return left, right
