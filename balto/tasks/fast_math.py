"""Exponentials that a CPU's vectors compute: polynomials in the place of calls of the C library.

TVM calls ``expf``, ``erff`` and ``tanhf`` once for each element. Its own approximations of them are
arithmetic, which LLVM vectorises. They are within a few 1e-7 of the values; what is deployed is
compared with the reference as ever. Runs in a worker with TVM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from balto.tasks.rewrite import Graph, operator, rewritten


def vectorised(module: Any) -> Any:
    """A Relax network whose float32 exponentials, and what is made of them, are polynomials.

    Args:
        module: before its operators are lowered.
    """
    ways = _ways()

    def polynomial(call: Any, graph: Graph) -> Any:
        name = operator(call)
        if name not in ways or str(call.args[0].ty.dtype) != "float32":
            return None
        more = {"axis": int(call.attrs.axis)} if name.endswith("softmax") else {}
        hint = name.removeprefix("nn.")
        return graph.builder.call_te(ways[name], call.args[0], primfunc_name_hint=hint, **more)

    return rewritten(module, (polynomial,))


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
