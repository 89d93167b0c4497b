"""Boosted forests: XGBoost's algorithm [Chen2016]_, for our tables and much faster.

Each round grows a few trees side by side on the same gradients of a weighted square error, each on
its own random rows and columns, by the second-order gain over histograms of binned columns. What
makes it fast:

- Gradient and hessian of a row are fixed-point numbers in the two halves of one 64-bit integer, so
  a histogram costs one addition a row and column, and sums are exact: in any order the same.
- A tree's rows and columns are first copied into one small table that stays in the cache.
- Of two children only the smaller one's histogram is summed; the other's is what is left. Nodes
  too light to be split have none, and each thread keeps the memory for its own.
- The gains of a node's splits are computed side by side, after the sums that they need; so are
  the answers of a tree's first nodes, when it is asked.
- Trees of a round are grown in threads; none depends on how many there are.

Trees are complete: ``2^depth - 1`` inner nodes, the children of node `k` at ``2k + 1`` and
``2k + 2``, then ``2^depth`` leaves. A node without a split sends everything left.

Compiled by Numba, and kept in its cache: the first use on a machine takes some seconds.

.. [Chen2016]
    T. Chen, C. Guestrin. XGBoost: a scalable tree boosting system. KDD 2016.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_field
from balto.compiled import jit
from balto.data.plausible import LARGEST_WEIGHT
from balto.models.bins import Bins

Floats = NDArray[np.float64]

#: Bits of the hessian, the lower half of a packed pair; the gradient is the upper one.
_HALF = 32
_LOWER = (1 << _HALF) - 1
#: Inner nodes, from the root on, that a tree asks for all rows side by side.
_TOP = 15


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How a forest is grown.

    Attributes:
        num_boost_round: boosting rounds.
        num_parallel_tree: trees grown side by side in each round.
        max_depth: of each tree, 1 to 12.
        learning_rate: of a round.
        min_child_weight: least sum of weights in a leaf.
        reg_lambda: L2 penalty of a leaf's value.
        subsample: share of the rows that each tree sees.
        colsample_bytree: share of the columns that each tree may use.

    Raises:
        InputError: If a value is out of its range.
    """

    num_boost_round: int = 16
    num_parallel_tree: int = 16
    max_depth: int = 6
    learning_rate: float = 0.5
    min_child_weight: float = 0.3
    reg_lambda: float = 1.0
    subsample: float = 0.8
    colsample_bytree: float = 0.2

    def __post_init__(self) -> None:
        check_field(self, "num_boost_round", 1, 100_000, whole=True)
        check_field(self, "num_parallel_tree", 2, 1000, whole=True)
        check_field(self, "max_depth", 1, 12, whole=True)
        check_field(self, "learning_rate", 1e-6, 10)
        check_field(self, "min_child_weight", 0, 1e9)
        check_field(self, "reg_lambda", 0, 1e9)
        check_field(self, "subsample", 1e-6, 1)
        check_field(self, "colsample_bytree", 1e-6, 1)


@dataclass(frozen=True)
class Forest:
    """A trained forest; a row's prediction is `base` plus the value of its leaf in every tree.

    Attributes:
        base: the prediction before any tree.
        feature: ``rounds x members x inner`` uint16, the column that a node asks about.
        threshold: the same shape, float32: a greater value goes right.
        value: ``rounds x members x leaves`` float32.
    """

    base: float
    feature: NDArray[np.uint16]
    threshold: NDArray[np.float32]
    value: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse arrays that `predict` could not follow.

        Raises:
            ValueError: If the types or shapes of the arrays do not fit together.
        """
        arrays = (self.feature, self.threshold, self.value)
        *trees, inner = self.threshold.shape
        kinds = [array.dtype for array in arrays] == [np.uint16, np.float32, np.float32]
        shapes = [array.shape for array in arrays[::2]] == [(*trees, inner), (*trees, inner + 1)]
        if not kinds or not shapes or len(trees) != 2 or inner & (inner + 1):
            raise ValueError(f"no forest: arrays of shapes {[array.shape for array in arrays]}")

    def check(self, width: int, members: int, depth: int) -> None:
        """Refuse a forest that `grow` cannot have made: another shape, or impossible numbers.

        Args:
            width: of the rows that are asked about.
            members: trees of a round.
            depth: of each tree.

        Raises:
            ValueError: If the trees have another shape, or hold numbers that no tree has.
        """
        rounds, found, inner = self.feature.shape
        for holds, expected in (
            (
                isinstance(self.base, float) and abs(self.base) <= LARGEST_WEIGHT,
                f"a base from -{LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}",
            ),
            (rounds > 0, "at least one round"),
            (found == members, f"{members} trees a round"),
            (inner == (1 << depth) - 1, f"trees of depth {depth}"),
            (self.feature.max(initial=0) < width, f"columns below {width}"),
            ((self.threshold > -np.inf).all(), "thresholds that are numbers"),
            (
                (np.abs(self.value) <= LARGEST_WEIGHT).all(),
                f"values from -{LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}",
            ),
        ):
            if not holds:
                raise ValueError(f"no forest: expected {expected}")

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """The columns that any node asks about, ascending: all that `add_steps` needs."""
        return np.flatnonzero(np.bincount(self.feature.ravel()))

    @cached_property
    def trees(self) -> tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.float32]]:
        """What `add_steps` walks: places among `columns`, thresholds, values; a row a tree."""
        place = np.zeros(self.columns[-1] + 1, np.uint16)
        place[self.columns] = np.arange(len(self.columns))
        inner, leaves = self.feature.shape[-1], self.value.shape[-1]
        return (
            place[self.feature].reshape(-1, inner),
            self.threshold.reshape(-1, inner),
            self.value.reshape(-1, leaves),
        )


def grow(
    bins: Bins,
    codes: NDArray[np.uint8],
    target: Floats,
    weight: Floats,
    growth: Growth,
    seed: int,
) -> Forest:
    """Boost a forest on ``sum_i weight_i (f(i) - target_i)^2``.

    Args:
        bins: of the `C` columns.
        codes: ``n x C``, from `Bins.encode`.
        target: `n`.
        weight: `n`, above 0.
        growth: how.
        seed: fixes every random choice, whatever the number of threads.
    """
    n, columns = codes.shape
    inner, trees = (1 << growth.max_depth) - 1, (growth.num_boost_round, growth.num_parallel_tree)
    base = float(weight @ target / weight.sum())
    node, cut = np.zeros((*trees, inner), np.uint16), np.zeros((*trees, inner), np.uint8)
    value = np.zeros((*trees, inner + 1), np.float32)
    chosen = max(1, round(growth.colsample_bytree * columns))
    rngs = [np.random.default_rng([seed, k]) for k in range(growth.num_parallel_tree)]
    predicted = np.full(n, base)
    pairs, steps = np.empty(n, np.int64), np.empty((growth.num_parallel_tree, n))
    threads = min(growth.num_parallel_tree, len(os.sched_getaffinity(0)))
    widest = int(np.sort(bins.widths)[-chosen:].sum())
    # Each thread's own, once: memory that is new for every tree costs as much as the tree.
    spaces = np.empty((threads, 2, (inner + 1) // 2, widest), np.int64)

    def grow_trees(r: int, thread: int, scale: float) -> None:
        least, penalty = growth.min_child_weight * scale, growth.reg_lambda * scale
        for k in range(thread, growth.num_parallel_tree, threads):
            rows = np.flatnonzero(rngs[k].random(n, dtype=np.float32) < growth.subsample)
            some = np.sort(rngs[k].permutation(columns)[:chosen])
            tree = (node[r, k], cut[r, k], value[r, k])
            _grow(codes, pairs, rows, some, bins.widths, least, penalty, *tree, spaces[thread])
            value[r, k] *= growth.learning_rate / growth.num_parallel_tree
            _values(codes, *tree, steps[k])

    with ThreadPoolExecutor(threads) as pool:
        for r in range(growth.num_boost_round):
            scale = _pack(predicted, target, weight, pairs)
            jobs = [pool.submit(grow_trees, r, thread, scale) for thread in range(1, threads)]
            grow_trees(r, 0, scale)
            for job in jobs:
                job.result()
            for step in steps:
                predicted += step
    return Forest(base, bins.columns[node].astype(np.uint16), bins.thresholds(node, cut), value)


@jit
def _pack(predicted: Any, target: Any, weight: Any, pairs: Any) -> Any:
    """Pack gradient and hessian of each row into one integer; returns how many units 1 has."""
    most = 1.0
    for i in range(len(pairs)):
        most += weight[i] * (1.0 + abs(predicted[i] - target[i]))
    scale = 2.0 ** np.floor(30 - np.log2(most))  # no sum of either half can overflow
    for i in range(len(pairs)):
        gradient = np.int64(np.rint(scale * weight[i] * (predicted[i] - target[i])))
        pairs[i] = (gradient << _HALF) + np.int64(np.rint(scale * weight[i]))
    return scale


@jit
def _gradient(pair: Any) -> Any:
    return np.float64(pair >> _HALF)


@jit
def _hessian(pair: Any) -> Any:
    return np.float64(pair & _LOWER)


@jit
def _grow(
    codes: Any,
    pairs: Any,
    rows: Any,
    columns: Any,
    widths: Any,
    least: float,
    penalty: float,
    node: Any,
    cut: Any,
    value: Any,
    space: Any,
) -> None:
    """Grow one tree into `node`, `cut` and `value`, the leaves' values before the learning rate.

    `space` holds the histograms of one level and of the next, in turns.
    """
    # Unsigned, here and below: an index that cannot be negative is not tested for it.
    table, places = np.empty((len(rows), len(columns)), np.uint8), columns.astype(np.uint32)
    pair = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        row = np.uint64(rows[i])
        pair[i] = pairs[row]
        for j in range(len(places)):
            table[i, j] = codes[row, places[j]]
    first = np.zeros(len(columns) + 1, np.uint32)  # where the histogram of a column begins
    for j in range(len(columns)):
        first[j + 1] = first[j] + widths[columns[j]]
    # Node k of a level holds the rows order[ends[k]] to order[ends[k + 1] - 1].
    order, spare = np.arange(len(rows)), np.empty(len(rows), np.int64)
    ends = np.array([0, len(rows)])
    open_ = np.ones(1, np.bool_)
    sums = np.zeros(1, np.int64)
    for i in range(len(pair)):
        sums[0] += pair[i]
    # Only nodes that might be split have theirs filled.
    histogram, next_histogram = space[0, :, : first[-1]], space[1, :, : first[-1]]
    _sum_rows(table, pair, order, first, histogram[0])
    lefts, gains = np.empty(first[-1], np.int64), np.empty(first[-1])
    nodes = 1
    while nodes <= len(node):
        deeper = 2 * nodes <= len(node)
        next_ends, next_sums = np.zeros(2 * nodes + 1, np.int64), np.zeros(2 * nodes, np.int64)
        next_open = np.zeros(2 * nodes, np.bool_)
        for k in range(nodes):
            here, left, right = nodes - 1 + k, 2 * k, 2 * k + 1
            rows_here = order[ends[k] : ends[k + 1]]
            j, code, sums_left, split = -1, 255, sums[k], len(rows_here)
            if open_[k]:
                j, code, sums_left = _best_split(
                    histogram[k], sums[k], first, least, penalty, lefts, gains
                )
            node[here], cut[here] = columns[max(j, 0)], code
            if j >= 0 and deeper:
                split = _part(table, j, code, rows_here, spare)
                small, large = (left, right) if 2 * split <= len(rows_here) else (right, left)
                rows_small = rows_here[:split] if small == left else rows_here[split:]
                next_open[left] = _hessian(sums_left) >= 2 * least
                next_open[right] = _hessian(sums[k] - sums_left) >= 2 * least
                if next_open[left] or next_open[right]:
                    _sum_rows(table, pair, rows_small, first, next_histogram[small])
                    for b in range(first[-1]):
                        next_histogram[large, b] = histogram[k, b] - next_histogram[small, b]
            next_sums[left] = sums_left
            next_sums[right] = sums[k] - sums_left
            next_ends[right], next_ends[right + 1] = ends[k] + split, ends[k + 1]
        sums, ends, open_ = next_sums, next_ends, next_open
        histogram, next_histogram = next_histogram, histogram
        nodes *= 2
    for k in range(nodes):
        value[k] = -_gradient(sums[k]) / (_hessian(sums[k]) + penalty)


@jit
def _sum_rows(table: Any, pair: Any, rows: Any, first: Any, histogram: Any) -> None:
    """Sum the pairs of some rows in the bins that they fall into."""
    histogram[:] = 0
    for i in rows:
        row = np.uint64(i)
        one = pair[row]
        for j in range(table.shape[1]):
            histogram[first[j] + table[row, j]] += one


@jit
def _best_split(
    histogram: Any, total: Any, first: Any, least: float, penalty: float, lefts: Any, gains: Any
) -> Any:
    """Column, last bin on the left, and sums of the left child; no column: -1, all on the left.

    First the sums of the left child after each bin, then all gains. Neither has branches, so both
    become vector instructions. A split with too light a child gains nothing.
    """
    weight, bins = total & _LOWER, np.int64(first[-1])
    lightest, heaviest = np.int64(np.ceil(least)), weight - np.int64(np.ceil(least))
    for j in range(len(first) - 1):
        left = np.int64(0)
        for b in range(first[j], first[j + 1]):
            left += histogram[b]
            lefts[b] = left
    g, h = _gradient(total), np.float64(weight) + penalty
    for b in range(bins):
        w_left = lefts[b] & _LOWER
        g_left, h_left = _gradient(lefts[b]), np.float64(w_left) + penalty
        g_right, h_right = g - g_left, h - np.float64(w_left)
        gain = (g_left * g_left * h_right + g_right * g_right * h_left) / (h_left * h_right)
        gains[b] = gain if (w_left >= lightest) & (w_left <= heaviest) else 0.0
    best, found = (g * g / h + 1e-9) * (1 + 1e-9), np.int64(-1)
    for b in range(bins):
        if gains[b] > best:
            best, found = gains[b], np.int64(b)
    if found < 0:
        return -1, 255, total
    column = np.searchsorted(first, found, side="right") - 1
    return column, found - np.int64(first[column]), lefts[found]


@jit
def _part(table: Any, column: int, code: int, rows: Any, spare: Any) -> int:
    """Bring the rows of the left child to the front, in order; returns how many there are."""
    left = right = 0
    for i in rows:
        if table[np.uint64(i), column] <= code:
            rows[left] = i
            left += 1
        else:
            spare[right] = i
            right += 1
    for k in range(right):
        rows[left + k] = spare[k]
    return left


@jit
def _values(codes: Any, node: Any, cut: Any, value: Any, out: Any) -> None:
    """The value that a tree gives to each of some binned rows."""
    inner, one = np.uint64(len(node)), np.uint64(1)
    for i in range(len(codes)):
        k = np.uint64(0)
        while k < inner:
            k = k + k + one + np.uint64(codes[i, node[k]] > cut[k])
        out[i] = value[k - inner]


@jit
def find_leaves(table: Any, place: Any, threshold: Any, leaves: Any) -> None:
    """The leaf of each tree into which each of `n` rows falls.

    Args:
        table: `n` rows, whose columns are `Forest.columns`.
        place: of `Forest.trees`, as is the next one.
        threshold: the same.
        leaves: ``n x trees``, filled.
    """
    trees, inner = place.shape
    for i in range(len(table)):
        for t in range(trees):
            k = 0
            while k < inner:
                k = 2 * k + 1 + (table[i, place[t, k]] > threshold[t, k])
            leaves[i, t] = k - inner


@jit
def add_steps(
    table: Any, first: int, count: int, place: Any, threshold: Any, value: Any, steps: Any
) -> None:
    """Add the value that each tree has for each of some rows to its member's steps.

    A row's prediction is the forest's base and all its steps. Member `k` alone, grown from tree
    `k` of every round, would predict the base and its own steps times the number of members.

    Args:
        table: the columns of the rows, which are `Forest.columns`; a row a column, contiguous.
        first: where the rows begin in `steps`.
        count: how many rows there are, at most those of `table`.
        place: of `Forest.trees`, as are the next two.
        threshold: the same.
        value: the same.
        steps: ``members x n``.
    """
    trees, inner = place.shape
    node, right = np.empty(count, np.uint32), np.empty(count, np.uint32)
    one = np.uint64(1)
    for t in range(trees):
        node[:] = 0
        above = 0  # nodes above a level
        # Of the first levels every node is asked for all rows, which is a matter of vector
        # instructions; and nothing is sliced, so that they can be used.
        while above < min(inner, _TOP):
            right[:] = 0
            for k in range(above + 1):  # a level has one node more than there are above it
                column, cut = np.uint64(place[t, above + k]), threshold[t, above + k]
                for i in range(count):
                    right[i] |= np.uint32((table[column, i] > cut) & (node[i] == np.uint32(k)))
            for i in range(count):
                node[i] += node[i] + right[i]
            above = 2 * above + 1
        reached = np.uint64(above)
        while reached < inner:
            for i in range(count):
                at = np.uint64(node[i])
                asked = at + reached
                greater = table[place[t, asked], i] > threshold[t, asked]
                node[i] = np.uint32(at + at + np.uint64(greater))
            reached = reached + reached + one
        member = t % len(steps)
        for i in range(count):
            steps[member, first + i] += value[t, np.uint64(node[i])]
