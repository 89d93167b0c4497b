"""NumPy's arrays out of pickles, from their shapes, types and bytes; NumPy unpickles nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.importers.pickle_bounds import LARGEST, Budget, Refused
from balto.importers.pickle_values import SHORT, Array, kind, shown

_TYPES = ("f8", "f4", "i8", "i4", "O8", "O")


def dtype(code: str) -> np.dtype[Any]:
    """The type of an array's values, little-endian.

    Raises:
        Refused: If TenSet has no arrays of it.
    """
    if code.lstrip("<|=") not in _TYPES:
        raise Refused(f"has an array of the type {code[:40]}")
    return np.dtype(code)


def float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """What is too large becomes infinite, without a warning, and is refused as a feature."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32, copy=False)


def of_bytes(
    data: bytes | bytearray, of: np.dtype[Any], shape: Any, by_column: bool, budget: Budget
) -> NDArray[Any]:
    """An array of numbers; one program's features, which have two dimensions, as float32.

    Raises:
        Refused: If the shape does not fit the bytes.
    """
    if of.kind not in "fi" or _size(shape) * of.itemsize != len(data):
        raise Refused(f"has an array of {shown(shape)} in {len(data)} bytes")
    values = np.frombuffer(data, of).reshape(shape, order="F" if by_column else "C")
    if values.ndim != 2:
        return values
    values = float32(values)
    if len(data) > SHORT:  # nothing refers to these bytes again
        budget.free(len(data) - values.nbytes)
    return values


def of_numbers(data: Any, shape: Any, budget: Budget) -> NDArray[np.float32]:
    """An array of two or three dimensions from a list of numbers and of arrays of them.

    Raises:
        Refused: If it is no such list, or does not fit the shape.
    """
    wrong = next((e for e in data if not isinstance(e, float | int | np.ndarray)), 0)
    if not isinstance(wrong, int):
        raise Refused(f"has an array of numbers with {kind(wrong)} in it")
    found, size = sum(map(np.size, data)), _size(shape)
    if found != size:
        raise Refused(f"has an array of {shown(shape)} with {found} numbers")
    budget.make(8 * size, 0)  # where some are Python's, NumPy joins all as float64
    rows = float32(np.concatenate([np.empty(0, np.float32), *map(np.atleast_1d, data)]))
    budget.free(4 * size)
    return rows.reshape(shape)


def joined(
    data: Sequence[Any], shape: Any, budget: Budget
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows of programs of different numbers of rows, and how many each has.

    Raises:
        Refused: If they are no programs' features.
    """
    for each in data:
        if not isinstance(each, Array) or each.values is None or each.values.ndim != 2:
            raise Refused(f"has features that are {kind(each)}")
    programs = [float32(each.values) for each in data]
    if len(programs) != _size(shape) or len({p.shape[1] for p in programs}) != 1:
        raise Refused(f"has features of {len(programs)} programs that do not fit {shown(shape)}")
    budget.make(sum(p.nbytes for p in programs), 0)
    return np.concatenate(programs), np.array([len(p) for p in programs], np.int64)


def split(
    rows: NDArray[np.float32], budget: Budget
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `joined`, of an array of three dimensions: programs of equally many rows."""
    programs, each, columns = rows.shape
    budget.make(8 * programs, programs)  # whoever gets them has an outcome for each
    return rows.reshape(-1, columns), np.full(programs, each, np.int64)


def _size(shape: Any) -> int:
    """How many values an array of a shape has.

    Nothing of TenSet's is empty, and an empty array can have billions of rows without a byte.
    """
    sizes = isinstance(shape, tuple) and len(shape) <= 4
    if not sizes or not all(type(n) is int and 1 <= n <= LARGEST for n in shape):
        raise Refused(f"has an array of the shape {shown(shape)}")
    return prod(shape)
