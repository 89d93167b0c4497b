"""Which programs LLVM's SLP vectoriser spends seconds on, for nothing.

A vectorised loop that takes its values from scattered places, such as a transposed buffer, becomes
a load for each value. Unrolled, that is thousands in one piece of straight code, and SLP, which
looks for neighbours among them, takes 3 to 7 s where the rest of compiling takes 1 s. It finds
none: the machine code is the same without it.
"""

from __future__ import annotations

from typing import Any

from balto.data.target import Target
from balto.programs.footprints import Nest, straight, unrolled_loops
from balto.programs.nests import VECTORIZED, read

#: From so many values on SLP is left out.
MANY = 1024
_NO_SLP = "-vectorize-slp:bool=0"


def to_compile(module: Any, target: Target) -> Target:
    """What to compile a scheduled TVM module for: the target, with SLP or without."""
    if target.kind != "llvm" or gathered(module) < MANY:
        return target
    return Target.from_dict({**target.to_dict(), "cl-opt": [*target.option("cl-opt", ()), _NO_SLP]})


def gathered(module: Any) -> int:
    """Values that one statement loads from, or stores to, scattered places in straight code."""
    statements = read(module).statements
    unrolled = unrolled_loops(statements)
    most = 0
    for statement in statements:
        nest = Nest(statement)
        vector = [k for k, loop in enumerate(nest.loops) if loop.kind == VECTORIZED]
        if any(strides[k] not in (0, 1) for strides in nest.strides for k in vector):
            lanes, copies, _ = straight(nest, unrolled)
            most = max(most, lanes * copies)
    return most
