"""Losses of the network cost models: their gradients, which is all that training needs.

.. [Zheng2021]
    L. Zheng et al. TenSet: a large-scale program performance dataset for learned tensor compilers.
    NeurIPS Datasets and Benchmarks 2021.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.compiled import jit

Values = NDArray[np.float32]


def squared_error(scores: Values, y: Values, task: NDArray[np.int32]) -> Values:  # noqa: ARG001
    """Gradient of the mean square error with respect to `scores`; all arrays are `b`."""
    gradient: Values = (scores - y) * np.float32(2 / len(y))
    return gradient


def lambda_rank(scores: Values, y: Values, task: NDArray[np.int32]) -> Values:
    """Gradient of LambdaRank over the pairs of programs *of the same task* [Zheng2021]_.

    A pair with y_i > y_j adds -|1/D_i - 1/D_j| |G_i - G_j| log2(sigmoid(s_i - s_j)) to the loss,
    with G = (2^y - 1) / maxDCG, D = log2(1 + rank by score), and weights taken as constants.
    TenSet (``LambdaRankLoss`` of its code) and TVM rank a shuffled batch that mixes tasks, though
    labels of different tasks cannot be compared. Here ranks and maxDCG are those of the task's
    programs in the batch.

    Args:
        scores: `b`.
        y: `b`, relative throughput.
        task: `b`, which programs belong together.

    Returns:
        `b`, the derivative of the sum over pairs with respect to each score.
    """
    best_first = np.lexsort((-y, task))
    place = np.arange(len(y))
    new = np.diff(task[best_first], prepend=task[best_first[0]] - 1) != 0
    starts = np.flatnonzero(new)
    rank = place - starts[np.cumsum(new) - 1]  # 0-based, by label; in this order the ideal one
    inverse = np.empty(len(y), np.float32)
    inverse[np.lexsort((-scores, task))] = 1 / np.log2(2.0 + rank)
    gain = np.exp2(y[best_first]) - 1
    sizes = np.diff(starts, append=len(y))
    most = np.add.reduceat(gain / np.log2(2.0 + rank), starts)
    gain /= np.repeat(np.maximum(most, 1e-10), sizes).astype(np.float32)
    gradient = np.zeros_like(scores)
    ends = np.repeat(starts + sizes, sizes)
    gradient[best_first] = _pairs(scores[best_first], inverse[best_first], gain, ends)
    return gradient


@jit
def _pairs(scores: Any, inverse: Any, gain: Any, ends: Any) -> Any:
    """Sum over pairs of a program and those behind it in its task, by falling gain."""
    gradient = np.zeros_like(scores)
    scale = np.float32(1 / math.log(2))
    for i in range(len(scores)):
        for j in range(i + 1, ends[i]):
            weight = abs(inverse[i] - inverse[j]) * (gain[i] - gain[j])  # 0 for equal labels
            step = scale * weight / (np.float32(1) + np.exp(scores[i] - scores[j]))
            gradient[j] += step
            gradient[i] -= step
    return gradient
