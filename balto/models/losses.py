"""Losses of the network cost models."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def squared_error(scores: Tensor, y: Tensor, task: Tensor) -> Tensor:  # noqa: ARG001
    """Mean square error of the predicted relative throughput; `scores`, `y` and `task` are `b`."""
    return F.mse_loss(scores, y)


def lambda_rank(scores: Tensor, y: Tensor, task: Tensor) -> Tensor:
    """LambdaRank, summed over the pairs of programs *of the same task* [TenSet]_.

    A pair with y_i > y_j weighs |1/D_i - 1/D_j| |G_i - G_j|, with G = (2^y - 1) / maxDCG,
    D = log2(1 + rank by score), sigma = 1. TenSet and TVM rank a shuffled batch that mixes tasks,
    where a pair of different tasks compares numbers that mean nothing to each other; here ranks
    and maxDCG are those of the task's programs in the batch.

    .. [TenSet] Zheng et al., TenSet: A Large-scale Program Performance Dataset for Learned Tensor
       Compilers, NeurIPS Datasets and Benchmarks 2021; ``LambdaRankLoss`` of its code.
    """
    same = task[:, None] == task[None, :]
    with torch.no_grad():
        index = torch.arange(len(y))
        discount = torch.log2(2.0 + _rank(scores, same, index))
        ideal = torch.log2(2.0 + _rank(y, same, index))
        gain = torch.exp2(y) - 1.0
        gain = gain / (same.to(gain.dtype) @ (gain / ideal)).clamp(min=1e-10)
        inverse = 1.0 / discount
        weight = (inverse[:, None] - inverse[None, :]).abs() * (gain[:, None] - gain[None, :]).abs()
        weight = weight * (same & (y[:, None] > y[None, :]))
    return -(weight * F.logsigmoid(scores[:, None] - scores[None, :])).sum() / math.log(2.0)


def _rank(values: Tensor, same: Tensor, index: Tensor) -> Tensor:
    """0-based rank of each program within its task, the largest first; ties by index."""
    above = values[None, :] > values[:, None]
    tied = (values[None, :] == values[:, None]) & (index[None, :] < index[:, None])
    return (same & (above | tied)).sum(dim=1).float()
