"""Programs that keep NaN. Runs in a worker with TVM.

``max(x, 0)`` becomes ``x > 0 ? x : 0``, in which a NaN is lost: 0 of a ReLU. With the constant
first it is ``0 > x ? 0 : x``, which takes the same one instruction, and keeps it.
"""

from __future__ import annotations

from typing import Any


def nan_kept(module: Any) -> Any:
    """A module whose programs have the constant first in each ``max`` and ``min`` of floats."""
    import tvm
    import tvm_ffi
    from tvm.tirx import FloatImm, Max, Min, PrimFunc

    def constant_first(expression: Any) -> Any:
        a, b = expression.a, expression.b
        if isinstance(b, FloatImm) and not isinstance(a, FloatImm):
            return type(expression)(b, a)
        return expression

    functions = dict(module.functions.items())
    for var, function in functions.items():
        if isinstance(function, PrimFunc):
            body = tvm_ffi.structural_map(function.body, ((Max, Min), constant_first))
            functions[var] = function.with_body(body)
    return tvm.IRModule(functions, attrs=module.attrs)


def describe() -> str:
    """What this machine's programs make of a NaN, for people."""
    import numpy as np

    from balto.workers.tvm_setup import import_tvm

    tvm = import_tvm()
    from tvm import te, tirx

    def kept(other: Any) -> bool:
        x, y, z = (np.array([each], "float32") for each in (np.nan, 1.0, 0.0))
        a, b = (te.placeholder((1,), "float32") for _ in range(2))
        largest = te.compute((1,), lambda i: tirx.Max(a[i], other(b, i)))
        module = nan_kept(tvm.IRModule({"main": te.create_prim_func([a, b, largest])}))
        tensors = [tvm.runtime.tensor(each) for each in (x, y, z)]
        tvm.tirx.build(module, "llvm")["main"](*tensors)
        return bool(np.isnan(tensors[-1].numpy()[0]))

    cases = {
        "ReLU and clip": lambda b, i: tirx.FloatImm("float32", 0.0),  # noqa: ARG005
        "max pooling and the maximum of two tensors": lambda b, i: b[i],
    }
    return "; ".join(
        f"{'kept' if kept(other) else 'may be lost'} by {of}" for of, other in cases.items()
    )
