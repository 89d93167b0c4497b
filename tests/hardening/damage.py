"""What can happen to a file on its way: flips, cuts, splices, swaps; all fixed by a seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def flips(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """`data` with one bit of one byte turned."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        changed = bytearray(data)
        changed[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        yield bytes(changed)


def damaged(data: bytes, other: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """`data` flipped, cut off, joined with a part of `other`, or with two of its parts swapped."""
    rng = np.random.default_rng(seed)
    yield b""
    yield other
    for changed in flips(data, count, seed):
        yield changed
        cut = int(rng.integers(len(data)))
        yield data[:cut]
        yield data[:cut] + other[int(rng.integers(len(other))) :]
        a, b, c = np.sort(rng.integers(0, len(data) + 1, 3)).tolist()
        yield data[:a] + data[b:c] + data[a:b] + data[c:]
