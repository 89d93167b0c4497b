"""Ragged batches for networks: store rows in packed order, without padding.

Programs are sorted by their number of stores, most first, and the rows are laid out store by
store: first the first store of every program, then the second of those that have one, and so on.
That is the order of torch's `PackedSequence`, so the LSTM reads it as it is, and the sum over a
program's stores is a few dense additions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """`b` programs in packed order.

    Attributes:
        programs: `b`, which programs these are, those of most stores first.
        rows: indices of their store rows, in packed order.
        counts: how many programs have a first, second, ... store; sums to ``len(rows)``.
    """

    programs: Ints
    rows: Ints
    counts: list[int]


def pack(offsets: Ints, programs: Ints) -> Batch:
    """Lay the store rows of `programs` out in packed order; `offsets` as in `Features`."""
    stores = offsets[programs + 1] - offsets[programs]
    programs = programs[np.argsort(-stores, kind="stable")]
    first = offsets[programs]
    counts = [int((stores > j).sum()) for j in range(int(stores.max()))]
    rows = np.concatenate([first[:count] + j for j, count in enumerate(counts)])
    return Batch(programs, rows, counts)


class _SegmentSum(torch.autograd.Function):
    """Sum of each program's packed rows; deterministic, unlike an atomic scatter."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        total = rows[: counts[0]].clone()
        start = counts[0]
        for count in counts[1:]:
            total[:count] += rows[start : start + count]
            start += count
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return torch.cat([gradients[0][:count] for count in ctx.counts]), None


def segment_sum(rows: Tensor, counts: list[int]) -> Tensor:
    """Sum over stores: packed rows `R x d` to programs `b x d`."""
    total: Tensor = _SegmentSum.apply(rows, counts)  # type: ignore[no-untyped-call]
    return total
