"""What was imported, in fewer operators that compute the same. Runs in a worker with TVM.

- A *batch normalisation* at inference is a scale and a shift of each channel. TVM computes it an
  element at a time, with a division; here what depends on weights alone is computed once, and the
  scale of a convolution's result goes into its weights (Jacob et al., CVPR 2018, section 3.2).
- ONNX's ``Sum``, ``Mean``, ``Min`` and ``Max``, which many files write residual connections with,
  are imported as a copy of all tensors into one, which is then reduced. They become one binary
  operator after the other: these are fused into what comes before.

TVM's pass that changes layouts refuses the five dimensions of such a copy, and moves a tensor back
and forth around a weight of fewer dimensions: weights get as many as what they are combined with.
"""

from __future__ import annotations

from collections import Counter
from functools import reduce
from typing import Any

_CONVOLUTIONS = ("nn.conv1d", "nn.conv2d", "nn.conv3d")
#: Axes of what TVM changes the layout of.
_IMAGE = 4


def simplified(module: Any) -> Any:
    """A Relax network in fewer operators.

    Args:
        module: whose ``main`` takes the inputs, then the weights.
    """
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator
    from tvm_ffi import structural_equal

    main = module["main"]
    fixed, uses = _of_weights(main), _uses(main)
    reductions = {
        tvm.ir.Op.get("relax.sum"): relax.op.add,
        tvm.ir.Op.get("relax.mean"): relax.op.add,
        tvm.ir.Op.get("relax.min"): relax.op.minimum,
        tvm.ir.Op.get("relax.max"): relax.op.maximum,
    }

    def is_fixed(x: Any) -> bool:
        return isinstance(x, tvm.ir.GenericConst) or x in fixed

    names = ("add", "subtract", "multiply", "divide", "minimum", "maximum")
    elementwise = {tvm.ir.Op.get(f"relax.{name}") for name in names}

    @mutator
    class Rewriter(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = self.visit_expr_post_order(call)
            if call.op in elementwise:
                return relax.Call(call.op, self.of_one_rank(*call.args))
            parts = self.stacked(call)
            if not parts:
                return call
            emit, way = self.builder_.emit, reductions[call.op]
            whole = reduce(lambda one, other: emit(way(one, other)), parts)
            if call.op == tvm.ir.Op.get("relax.mean"):
                whole = emit(relax.op.divide(whole, relax.const(len(parts), str(call.ty.dtype))))
            same = structural_equal(whole.ty.shape, call.ty.shape)  # or all of them were smaller
            return whole if same else relax.op.broadcast_to(whole, call.ty.shape)

        def visit_tuple_getitem_(self, got: Any) -> Any:
            got = self.visit_expr_post_order(got)
            norm = self.bound(got.tuple_value, "nn.batch_norm")
            if norm is None or got.index != 0 or norm.attrs.training:
                return got
            return self.scaled(norm)

        def of_one_rank(self, one: Any, other: Any) -> list[Any]:
            """Operands of which a smaller one of weights has as many axes as the other."""
            both = [one, other]
            ranks = [getattr(each.ty, "ndim", 0) for each in both]  # a number has none
            for k, (each, rank, wide) in enumerate(zip(both, ranks, ranks[::-1], strict=True)):
                own = constant_shape(each) if is_fixed(each) and 0 < rank < wide >= _IMAGE else None
                if own:
                    shape = [1] * (wide - rank) + own
                    both[k] = self.builder_.emit(relax.op.reshape(each, shape))
                    fixed.add(both[k])
            return both

        def stacked(self, call: Any) -> list[Any]:
            """The tensors that a reduction is of, one element of each; none if it is another."""
            if call.op not in reductions or call.attrs.keepdims or call.attrs.axis is None:
                return []
            stack = self.bound(call.args[0], "stack")
            if stack is None or not isinstance(stack.args[0], relax.Tuple):
                return []
            if [int(a) for a in call.attrs.axis] != [0] or int(stack.attrs.axis or 0) != 0:
                return []
            wide = [(part, self.bound(part, "broadcast_to")) for part in stack.args[0].fields]
            return [part if to is None else to.args[0] for part, to in wide]

        def scaled(self, norm: Any) -> Any:
            """A batch normalisation as a scale and a shift."""
            x, gamma, beta, mean, variance = norm.args
            emit, op = self.builder_.emit, relax.op
            epsilon = relax.const(float(norm.attrs.epsilon), str(variance.ty.dtype))
            scale = emit(op.sqrt(emit(op.add(variance, epsilon))))
            if norm.attrs.scale:
                scale = emit(op.divide(gamma, scale))
            else:
                scale = emit(op.divide(relax.const(1, str(variance.ty.dtype)), scale))
            shift = emit(op.negative(emit(op.multiply(mean, scale))))
            if norm.attrs.center:
                shift = emit(op.add(beta, shift))
            axis = int(norm.attrs.axis) % x.ty.ndim
            channels = [1] * axis + [-1] + [1] * (x.ty.ndim - 1 - axis)
            wide, shift = emit(op.reshape(scale, channels)), emit(op.reshape(shift, channels))
            x, bias = self.unbiased(x)
            convolution = self.convolution(x, axis)
            if convolution is None:
                return op.add(emit(op.multiply(norm.args[0], wide)), shift)
            if bias is not None:
                shift = emit(op.add(emit(op.multiply(bias, wide)), shift))
            data, weight = convolution.args
            layout = str(convolution.attrs.kernel_layout)
            ones = [-1 if letter == "O" else 1 for letter in layout]
            weight = emit(op.multiply(weight, emit(op.reshape(scale, ones))))
            folded = relax.Call(convolution.op, [data, weight], convolution.attrs)
            return op.add(emit(folded), shift)

        def unbiased(self, x: Any) -> tuple[Any, Any]:
            """What a bias was added to, and the bias; None where none was."""
            added = self.bound(x, "add")
            if added is None or uses[x] != 1 or not is_fixed(added.args[1]):
                return x, None
            same = added.args[0].ty.ndim == x.ty.ndim  # a bias of more axes makes more
            return tuple(added.args) if same else (x, None)

        def convolution(self, x: Any, axis: int) -> Any:
            """The one that a variable stands for, if a scale of its channels can be folded in."""
            if uses[x] != 1:
                return None
            for name in _CONVOLUTIONS:
                call = self.bound(x, name)
                if call is not None and is_fixed(call.args[1]):
                    return call if str(call.attrs.out_layout).index("C") == axis else None
            return None

        def bound(self, x: Any, name: str) -> Any:
            """The call of an operator that a variable stands for, or None."""
            value = self.lookup_binding(x) if isinstance(x, relax.Var) else x
            called = isinstance(value, relax.Call) and value.op == tvm.ir.Op.get(f"relax.{name}")
            return value if called else None

    return relax.transform.DeadCodeElimination()(rewritten(module, Rewriter(module)))


def rewritten(module: Any, rewriter: Any) -> Any:
    """A module with all its Relax functions as a mutator, made of the module, rewrites them."""
    from tvm import relax

    for var, function in module.functions.items():
        if isinstance(function, relax.Function):
            rewriter.builder_.update_func(var, rewriter.visit_expr(function))
    return rewriter.builder_.get()


def inputs(main: Any) -> int:
    """How many of a function's parameters are inputs; the others are weights."""
    attributes = main.attrs or {}
    return int(attributes["num_input"]) if "num_input" in attributes else len(main.params)


def constant_shape(x: Any) -> list[int] | None:
    """Of a tensor; None where it is not known, or not constant."""
    from tvm.tirx import IntImm

    shape = getattr(x.ty, "shape", None)
    dims = list(getattr(shape, "values", [])) if shape is not None else []
    return [int(n) for n in dims] if dims and all(isinstance(n, IntImm) for n in dims) else None


def _bindings(main: Any) -> list[Any]:
    return [binding for block in main.body.blocks for binding in block.bindings]


def _of_weights(main: Any) -> set[Any]:
    """Variables that no input reaches."""
    from tvm.relax.analysis import free_vars

    fixed = set(main.params[inputs(main) :])
    for binding in _bindings(main):
        if fixed.issuperset(free_vars(binding.value)):
            fixed.add(binding.var)
    return fixed


def _uses(main: Any) -> Counter[Any]:
    """How many bindings use a variable."""
    from tvm.relax.analysis import free_vars

    used = [set(free_vars(binding.value)) for binding in _bindings(main)]
    return Counter(var for each in [*used, set(free_vars(main.body.body))] for var in each)
