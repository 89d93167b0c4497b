"""Exponentials that a CPU's vectors compute: polynomials in the place of calls of the C library.

TVM calls ``expf``, ``erff`` and ``tanhf`` once for each element. Its own approximations of them are
arithmetic, which LLVM vectorises. They are within a few 1e-7 of the values; what is deployed is
compared with the reference as ever. Runs in a worker with TVM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from balto.tasks.simplify import rewritten


def vectorised(module: Any) -> Any:
    """A Relax network whose float32 exponentials, and what is made of them, are polynomials.

    Args:
        module: before its operators are lowered.
    """
    import tvm
    from tvm.relax.expr_functor import PyExprMutator, mutator

    ways = {tvm.ir.Op.get(f"relax.{name}"): (name, way) for name, way in _ways().items()}

    @mutator
    class Rewriter(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = self.visit_expr_post_order(call)
            if call.op not in ways or str(call.args[0].ty.dtype) != "float32":
                return call
            name, way = ways[call.op]
            more = {"axis": int(call.attrs.axis)} if name.endswith("softmax") else {}
            hint = name.removeprefix("nn.")
            return self.builder_.call_te(way, call.args[0], primfunc_name_hint=hint, **more)

    return rewritten(module, Rewriter(module))


def _ways() -> dict[str, Callable[..., Any]]:
    """Operator -> what computes it, of tensor expressions."""
    from tvm import topi

    def sigmoid(x: Any) -> Any:
        return 1.0 / (1.0 + topi.fast_exp(-x))

    def gelu(x: Any) -> Any:
        return x * (0.5 + 0.5 * topi.fast_erf(x * 0.5**0.5))

    def silu(x: Any) -> Any:
        return x * sigmoid(x)

    return {
        "exp": topi.fast_exp,
        "erf": topi.fast_erf,
        "tanh": topi.fast_tanh,
        "sigmoid": sigmoid,
        "nn.gelu": gelu,
        "nn.silu": silu,
        "nn.softmax": topi.nn.fast_softmax,
    }
