"""The layout that suits a CPU: channels last, in the place of NCHW. Runs in a worker with TVM.

Vector registers then hold channels, of which there are many, rather than the pixels of a row, of
which a deep layer has seven. Together with weights laid out for each program at compile time
(``layout_free_buffers``), a 3 x 3 convolution of 56 x 56 x 64 took 2.1 ms in the place of 3.6 ms on
one core with AVX-512, each after 24 trials; either of the two alone was slower than neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from balto.errors import InputError
from balto.tasks.simplify import constant_shape, rewritten

#: Of data and weights; what other operators do with it TVM works out. Of transposed convolutions it
#: has one layout alone.
DESIRED = {
    "relax.nn.conv2d": ["NHWC", "OHWI"],
    "relax.nn.conv2d_transpose": ["NCHW", "IOHW"],
}
#: Numbers in a vector register of AVX2.
_VECTOR = 8
_FREE = "layout_free_buffers"


def in_odd_groups(module: Any) -> bool:
    """Whether most of a network's convolutions, by work, are in groups that vectors do not fit.

    A vector of channels that are not all of one group reads its inputs one by one: ShuffleNet,
    whose groups have 28, 34 and 68 channels, took 33 ms in NHWC, and 6 in its own layout.
    """
    import tvm
    from tvm import relax

    work = [0.0, 0.0]  # of other convolutions, and of such
    conv2d = tvm.ir.Op.get("relax.nn.conv2d")
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            call = binding.value
            if isinstance(call, relax.Call) and call.op == conv2d:
                results, weight = constant_shape(call), constant_shape(call.args[1])
                if results and weight:  # in NCHW and OIHW, as all that is imported
                    groups = int(call.attrs.groups)
                    odd = groups > 1 and weight[1] > 1 and weight[0] // groups % _VECTOR > 0
                    work[odd] += prod(results) * prod(weight[1:])
    return work[True] > work[False]


def require_lowered(fused: Any) -> None:
    """Refuse a network with a convolution that TVM cannot compute in its new layout."""
    from tvm.ir import Op
    from tvm.relax.analysis import post_order_visit

    def visit(expression: Any) -> None:
        op = getattr(expression, "op", None)
        if not isinstance(op, Op) or not op.name.startswith("relax.nn.conv"):
            return
        if constant_shape(expression):  # of others TVM computes none, in no layout
            raise InputError(f"it has no {op.name.removeprefix('relax.nn.')} in NHWC")

    post_order_visit(fused["main"], visit)


def channels_last(module: Any) -> Any:
    """A network with its convolutions in NHWC; TVM moves the transposes to its ends."""
    from tvm import relax

    module = relax.transform.ConvertLayout(DESIRED)(_convertible(module))
    return relax.transform.DeadCodeElimination()(_transposed_once(module))


def weights_to_lay_out(fused: Any) -> Any:
    """Fused functions that may choose the layout of their weights, which are no longer inputs.

    Of the largest alone: a bias gains nothing, and would lengthen every program. Weights that are
    read backwards, as those of transposed convolutions, stay as they are: TVM lays them out wrong.
    """
    from tvm import relax
    from tvm.tirx import PrimFunc

    marked = relax.transform.AttachAttrLayoutFreeBuffers()(fused)
    for var, function in list(marked.functions.items()):
        free = (function.attrs or {}).get(_FREE) if isinstance(function, PrimFunc) else None
        if not free:
            continue
        sizes = {int(k): prod(int(n) for n in function.params[int(k)].shape) for k in free}
        largest = max(sizes, key=sizes.__getitem__)
        if _read_backwards(function, function.params[largest]):
            marked.update_func(var, function.without_attr(_FREE))
        elif len(free) > 1:
            marked.update_func(var, function.with_attr(_FREE, [largest]))
    return marked


def _read_backwards(function: Any, buffer: Any) -> bool:
    """Whether a function reads a buffer at an index that falls where a loop's rises."""
    from tvm.sym import detect_linear_equation

    for block in _blocks(function.body):
        loops = [each.var for each in block.iter_vars]
        for read in block.reads if loops else ():
            if not read.source.same_as(buffer):
                continue
            for index in read.region:
                factors = detect_linear_equation(index.min, loops)[:-1]
                if any(int(each) < 0 for each in factors if hasattr(each, "value")):
                    return True
    return False


def _blocks(statement: Any) -> Iterator[Any]:
    """All blocks of a function's body."""
    for each in getattr(statement, "seq", ()):
        yield from _blocks(each)
    if hasattr(statement, "block"):
        yield statement.block
        yield from _blocks(statement.block.body)
    elif hasattr(statement, "body"):
        yield from _blocks(statement.body)


def _transposed_once(module: Any) -> Any:
    """A network in which every transpose moves something, and none is of another.

    The pass puts its own beside the network's, and leaves those that have come to move nothing.
    """
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    transpose = tvm.ir.Op.get("relax.permute_dims")

    def axes_of(call: Any) -> list[int]:
        rank = call.args[0].ty.ndim
        axes = range(rank)[::-1] if call.attrs.axes is None else call.attrs.axes
        return [int(axis) % rank for axis in axes]

    @mutator
    class Rewriter(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = self.visit_expr_post_order(call)
            if call.op != transpose:
                return call
            x, axes = call.args[0], axes_of(call)
            inner = self.lookup_binding(x) if isinstance(x, relax.Var) else None
            if isinstance(inner, relax.Call) and inner.op == transpose:
                x, first = inner.args[0], axes_of(inner)
                axes = [first[axis] for axis in axes]
            return x if axes == sorted(axes) else relax.op.permute_dims(x, axes)

    return rewritten(module, Rewriter(module))


def _convertible(module: Any) -> Any:
    """A network without what stands in the way of TVM's conversion.

    TVM knows no layout of ``clip``, and would change the layout back and forth around each one: it
    becomes a minimum and a maximum. A dropout, which does nothing here but has two results, stops
    the conversion: it becomes what it was given, and a mask of ones.
    """
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    clip, dropout = (tvm.ir.Op.get(f"relax.{name}") for name in ("clip", "nn.dropout"))

    @mutator
    class Rewriter(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = self.visit_expr_post_order(call)
            if call.op == dropout:
                mask = relax.op.ones_like(call.args[0])
                return relax.Tuple([call.args[0], self.builder_.emit(mask)])
            if call.op != clip:
                return call
            x, low, high = call.args
            dtype = str(call.args[0].ty.dtype)
            bounds = [relax.const(float(each.value), dtype) for each in (low, high)]
            kept = self.builder_.emit(relax.op.minimum(x, bounds[1]))
            return relax.op.maximum(kept, bounds[0])

    module = relax.transform.CanonicalizeBindings()(rewritten(module, Rewriter(module)))
    return relax.transform.DeadCodeElimination()(module)
