"""Operators of torch in the one form that TVM reads. Runs in a worker.

Writing at an index, as caches are written; sums of bools, as positions are counted from masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def decompositions() -> Any:
    """What torch takes operators apart by: its own ways, and those that TVM needs.

    TVM's importer takes an index for each axis alone, and none that is left out; and adds up bools
    as bools, where torch counts them.
    """
    import torch

    table = torch.export.default_decompositions()
    table[torch.ops.aten.index_put.default] = _with_all_axes
    aten = torch.ops.aten
    for sums in (aten.cumsum.default, aten.cumprod.default, aten.sum.default, aten.sum.dim_IntList):
        table[sums] = _of_numbers(sums)
    return table


def _of_numbers(sums: Any) -> Callable[..., Any]:
    """An operator that adds up bools as the whole numbers that torch counts with."""
    import torch

    def sum_up(x: Any, *args: Any, **settings: Any) -> Any:
        if x.dtype != torch.bool:
            return NotImplemented
        return sums(x.to(torch.int64), *args, **settings)

    return sum_up


def _with_all_axes(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """`index_put` with an index for each axis: of those that were left out, all numbers."""
    import torch

    given = [k for k, index in enumerate(indices) if index is not None]
    together = given == list(range(given[0], given[0] + len(given)))
    numbers = all(indices[k].dtype != torch.bool for k in given)
    if len(given) == x.ndim or not together or not numbers:
        return NotImplemented
    wanted: Any = torch.broadcast_tensors(*(indices[k] for k in given))  # type: ignore[no-untyped-call]
    first, wide = given[0], wanted[0].ndim
    shape = [*x.shape[:first], *wanted[0].shape, *x.shape[given[-1] + 1 :]]
    full = []
    for axis in range(x.ndim):
        if axis in given:
            index, start, rank = wanted[axis - first], first, wide
        else:
            index, rank = torch.arange(x.shape[axis], device=x.device), 1
            start = axis if axis < first else axis - len(given) + wide
        index = index.reshape([1] * start + list(index.shape) + [1] * (len(shape) - start - rank))
        full.append(index.expand(shape))
    return torch.ops.aten.index_put.default(x, full, values.expand(shape), accumulate)
