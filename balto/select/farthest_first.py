"""The exact greedy of Algorithms 1 and 2, on the line of predictions.

Both algorithms pick, again and again, the program whose prediction is farthest from those of the
labelled and picked programs, the *references*. A prediction is one number, so the nearest
reference of a program is one of the two that it lies between: a pick changes the scores of the
programs in its own gap only. Programs are therefore kept gap by gap, one gap's side by side in
memory; a pick splits its gap in two; the gaps are in a heap, by what their programs can score at
most; and a gap too narrow to hold the next pick is never looked into. Nothing is sorted but the
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
    start = f[labelled] if references is None else references
    ends = np.empty(len(start) + 1, f.dtype)
    ends[:-1], ends[-1] = start, np.inf
    ends.sort()
    picks: NDArray[np.int64] = _pick(f, ends, labelled, budget, biased)
    return picks


@jit
def _pick(f: Any, references: Any, labelled: Any, budget: Any, biased: bool) -> Any:
    """The picks; `references` are sorted, and +inf stands after the last one."""
    gaps = len(references)
    value, index, border = _gather(f, references, labelled)
    budget = min(budget, np.int64(border[gaps]))
    # Gap g lies between low[g] and high[g], the latter included. Its programs stand from begin[g]
    # to end[g] in `index`, ascending, and their predictions in `value`.
    low = np.full(gaps + budget, -np.inf, f.dtype)
    high = np.full(gaps + budget, np.inf, f.dtype)
    low[1:gaps] = references[:-1]
    high[:gaps] = references
    begin, end = np.empty(gaps + budget, np.int64), np.empty(gaps + budget, np.int64)
    begin[:gaps], end[:gaps] = border[:gaps], border[1 : gaps + 1]
    # While a gap is unknown, its score is a bound that none of its programs exceeds.
    best = np.full(gaps + budget, _UNKNOWN, np.int32)
    score = np.empty(gaps + budget, f.dtype)
    for g in range(gaps):
        score[g] = _bound(low[g], high[g], biased)
    heap = np.arange(gaps + budget)
    for place in range(gaps // 2, -1, -1):
        _sink(heap, gaps, place, score, best)
    picks = np.empty(budget, np.int64)
    other = np.empty(len(f), f.dtype), np.empty(len(f), np.int32)
    b = 0
    while b < budget:
        g = heap[0]
        if best[g] == _UNKNOWN:
            some = slice(begin[g], end[g])
            best[g], score[g] = _best(value[some], index[some], low[g], high[g], biased)
            _sink(heap, gaps, 0, score, best)
            continue
        picks[b] = u = best[g]
        b += 1
        low[gaps], high[gaps], high[g] = f[u], high[g], f[u]
        end[gaps] = end[g] - 1  # without the pick
        end[g] = begin[gaps] = _split(value, index, begin[g], end[g], u, f[u], other)
        for part in (g, gaps):
            best[part], score[part] = _UNKNOWN, _bound(low[part], high[part], biased)
        _sink(heap, gaps, 0, score, best)
        _rise(heap, gaps, score, best)  # gap number `gaps` stands at that place
        gaps += 1
    return picks


@jit
def _gather(f: Any, references: Any, labelled: Any) -> Any:
    """The programs gap by gap, ascending in each, and where each gap begins; the labelled last.

    Returns:
        Their predictions; their indices; and gap g's place: from ``border[g]`` to ``border[g+1]``.
    """
    gaps = len(references)
    gap, first = _cells(f, references[:-1])
    border = np.zeros(gaps + 2, np.uint64)
    for i in range(len(f)):
        g = np.uint64(first[gap[i]])
        while references[g] < f[i]:
            g += np.uint64(1)
        gap[i] = g
        border[g + np.uint64(1)] += np.uint64(1)
    for u in labelled:  # one gap more, for what is not to be picked
        border[gap[u] + np.uint64(1)] -= np.uint64(1)
        gap[u] = gaps
    for k in range(gaps):
        border[k + 1] += border[k]
    at = border[:-1].copy()
    value, index = np.empty(len(f), f.dtype), np.empty(len(f), np.int32)
    for i in range(len(f)):
        place = at[gap[i]]
        value[place], index[place] = f[i], i
        at[gap[i]] = place + np.uint64(1)
    return value, index, border


@jit
def _cells(f: Any, known: Any) -> Any:
    """The cell of each program, and how many references lie in cells before each cell.

    The range of the references is cut into equal cells. The cell of a number is a monotone function
    of it whatever the rounding, so the references in cells before its own are smaller: a walk from
    there finds its gap.
    """
    zero, top = f.dtype.type(0), f.dtype.type(_CELLS - 1)
    scale = top / (known[-1] - known[0]) if len(known) > 1 else zero
    cell = np.zeros(len(f), np.uint32)
    first = np.zeros(_CELLS + 1, np.uint32)
    if scale > 0 and np.isfinite(scale):  # else all in one cell: a longer walk
        for i in range(len(f)):
            place = (f[i] - known[0]) * scale
            place = place if place > zero else zero  # `min` and `max` would look for NaN
            cell[i] = np.int32(place if place < top else top)
        for r in known:
            first[np.int32(min((r - known[0]) * scale, top)) + 1] += 1
        for c in range(_CELLS):
            first[c + 1] += first[c]
    return cell, first


@jit
def _bound(low: Any, high: Any, biased: bool) -> Any:
    """What no score in the gap exceeds: half its width and a little more for rounding."""
    half = 0.51 * (high - low)
    if not biased or not np.isfinite(half):
        return half
    return half * max(high, 0.0)


@jit
def _before(a: int, b: int, score: Any, best: Any) -> Any:
    """By score; of equal ones an unknown gap first, then that of the lowest index."""
    return score[a] > score[b] or (score[a] == score[b] and best[a] < best[b])


@jit
def _sink(heap: Any, size: int, place: int, score: Any, best: Any) -> None:
    """Put the gap at `place` of the heap below those that come before it."""
    gap = heap[place]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _before(heap[child + 1], heap[child], score, best):
            child += 1
        if not _before(heap[child], gap, score, best):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = gap


@jit
def _rise(heap: Any, place: int, score: Any, best: Any) -> None:
    """Put the gap at `place` of the heap above those that it comes before."""
    gap = heap[place]
    while place and _before(gap, heap[(place - 1) // 2], score, best):
        heap[place] = heap[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place] = gap


@jit
def _best(value: Any, index: Any, low: Any, high: Any, biased: bool) -> Any:
    """The best program of a gap, and its score."""
    best, best_score = _EMPTY, value.dtype.type(-np.inf)
    for j in range(len(value)):
        f = value[j]
        distance = min(f - low, high - f)
        score = distance if not biased else f * distance if f != 0 else f
        if best == _EMPTY or score > best_score:
            best, best_score = index[j], score
    return best, best_score


@jit
def _split(
    value: Any, index: Any, begin: int, end: int, picked: int, limit: Any, other: Any
) -> int:
    """Put a gap's programs above `limit` behind the others, less `picked`; where those begin.

    Both kinds are written at every step, and the places counted: a branch would be a coin toss.
    """
    values, indices = other
    left, right = begin, 0
    for j in range(begin, end):
        f, i = value[j], index[j]
        value[left], index[left] = f, i
        values[right], indices[right] = f, i
        left += (f <= limit) & (i != picked)
        right += f > limit
    value[left : left + right] = values[:right]
    index[left : left + right] = indices[:right]
    return left
