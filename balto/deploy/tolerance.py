"""How far a network's outputs may be from the reference's, from what the network computes.

Two runtimes sum in another order, and round in other places. A sum of K numbers whose roundings
are independent is off by some u sqrt(K) of its size, u being the unit roundoff of its type
([Higham2019]_), and so are operators after one another, whose errors add up in squares. Where real
numbers become 8-bit integers, a number near the middle of two falls to either side: the error is a
whole step. With twice as much twice over, and what float32 networks are known to need at least:

    tolerance = max(1e-4, sqrt(sum over operators of (4 u)^2 K + sum over roundings of step^2)),

at most a tenth, beyond which a comparison says nothing; 0 where no number is a float, which leaves
no room. All are relative to the largest value of an output. Runs in a worker with TVM.

.. [Higham2019]
    N. J. Higham, T. Mary. A new approach to probabilistic rounding error analysis. SIAM Journal on
    Scientific Computing 41(5), 2019.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

#: Half of the distance between 1 and the next number of a type.
_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
#: A step between the integers that real numbers are rounded to, relative to the largest.
_STEP = {"int8": 2.0**-7, "uint8": 2.0**-7, "int16": 2.0**-15, "uint16": 2.0**-15}
_SAFETY, _LEAST, _MOST = 4.0, 1e-4, 0.1
#: TVM's number for an axis that a block reduces.
_REDUCED = 2


@dataclass(frozen=True)
class Tolerance:
    """How far an output may be from what it should be.

    Attributes:
        most: for every value, relative to the largest one.
        stepped: whether real numbers are rounded to short integers: then a few values may be as
            far off as `most`, and their root mean square a quarter of it.
    """

    most: float
    stepped: bool = False


def tolerance_of(fused: Any) -> Tolerance:
    """The tolerance of a network.

    Args:
        fused: its fused functions, and ``main``, which calls them.
    """
    import tvm_ffi
    from tvm.ir import GlobalVar
    from tvm.tirx import PrimFunc

    calls: Counter[Any] = Counter()
    tvm_ffi.structural_walk(fused["main"].body, (GlobalVar, lambda var: calls.update([var])))
    squares = steps = 0.0
    floats = False
    for var, count in calls.items():
        if isinstance(fused[var], PrimFunc):
            for read, written, length in _blocks(fused[var]):
                floats |= "float" in written or any("float" in each for each in read)
                squares += count * length * (_SAFETY * _ROUNDOFF.get(written, 0.0)) ** 2
                if any("float" in each for each in read):
                    steps += count * _STEP.get(written, 0.0) ** 2
    if not floats:
        return Tolerance(0.0)
    return Tolerance(min(_MOST, max(_LEAST, sqrt(squares + steps))), steps > 0)


def _blocks(function: Any) -> list[tuple[list[str], str, int]]:
    """Of each block of a function, types of what it reads and writes, and how much it reduces."""
    import tvm_ffi
    from tvm.s_tir import SBlock

    found = []

    def visit(block: Any) -> None:
        if block.writes:  # not the one around all others
            reduced = [int(v.dom.extent) for v in block.iter_vars if int(v.iter_type) == _REDUCED]
            reads = [str(each.source.dtype) for each in block.reads]
            found.append((reads, str(block.writes[0].source.dtype), prod(reduced)))

    tvm_ffi.structural_walk(function.body, (SBlock, visit))
    return found
