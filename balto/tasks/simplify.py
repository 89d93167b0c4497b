"""What was imported, in fewer operators that compute the same. Runs in a worker with TVM.

- A *batch normalisation* at inference is a scale and a shift of each channel. TVM computes it an
  element at a time, with a division; here what depends on weights alone is computed once, and the
  scale of a convolution's result goes into its weights (section 3.2 of [Jacob2018]_).
- ONNX's ``Sum``, ``Mean``, ``Min`` and ``Max``, which many files write residual connections with,
  are imported as a copy of all tensors into one, which is then reduced. They become one binary
  operator after the other: these are fused into what comes before.
- TVM's pass that changes layouts refuses the five dimensions of such a copy, and moves a tensor
  back and forth around a weight of fewer dimensions: weights get as many as what they are combined
  with.

.. [Jacob2018]
    B. Jacob et al. Quantization and training of neural networks for efficient
    integer-arithmetic-only inference. CVPR 2018.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from balto.tasks.rewrite import Graph, Rule, constant_shape, operator, rewritten

#: Operators of two operands whose shapes are broadcast.
_ELEMENTWISE = ("add", "subtract", "multiply", "divide", "minimum", "maximum")
#: What takes two operands at a time where one of these reduces a stack of tensors.
_PAIRWISE = {"sum": "add", "mean": "add", "min": "minimum", "max": "maximum"}
_CONVOLUTIONS = ("nn.conv1d", "nn.conv2d", "nn.conv3d")
#: Axes of what TVM changes the layout of.
_IMAGE = 4


def simplified(module: Any) -> Any:
    """A Relax network in fewer operators.

    Args:
        module: whose ``main`` takes the inputs, then the weights.
    """
    from tvm import relax

    return relax.transform.DeadCodeElimination()(rewritten(module, RULES))


def weights_of_equal_rank(call: Any, graph: Graph) -> Any:
    """``image + weight`` -> ``image + reshape(weight)``, of as many axes as the image."""
    from tvm import relax

    if operator(call) not in _ELEMENTWISE:
        return None
    operands = list(call.args)
    ranks = [getattr(each.ty, "ndim", 0) for each in operands]  # a number has none
    for k, (each, rank, wide) in enumerate(zip(call.args, ranks, ranks[::-1], strict=True)):
        smaller = graph.is_fixed(each) and 0 < rank < wide >= _IMAGE
        if smaller and (shape := constant_shape(each)):
            operands[k] = graph.emit(relax.op.reshape(each, [1] * (wide - rank) + shape))
            graph.fixed.add(operands[k])
    return relax.Call(call.op, operands)


def reduction_in_pairs(call: Any, graph: Graph) -> Any:
    """``sum(stack([a, b, c]))`` -> ``a + b + c``; so are means, minima and maxima."""
    from tvm import relax
    from tvm_ffi import structural_equal

    name = operator(call)
    parts = _stacked(call, graph) if name in _PAIRWISE else []
    if not parts:
        return None
    pairwise = getattr(relax.op, _PAIRWISE.get(name, ""))
    whole = reduce(lambda one, other: graph.emit(pairwise(one, other)), parts)
    if name == "mean":
        count = relax.const(len(parts), str(call.ty.dtype))
        whole = graph.emit(relax.op.divide(whole, count))
    same = structural_equal(whole.ty.shape, call.ty.shape)  # or all of them were smaller
    return whole if same else relax.op.broadcast_to(whole, call.ty.shape)


def batch_norm_as_scale(got: Any, graph: Graph) -> Any:
    """``batch_norm(x)[0]`` -> ``x * scale + shift``; a convolution before it takes the scale."""
    from tvm import relax

    if not isinstance(got, relax.TupleGetItem) or got.index != 0:
        return None
    norm = graph.bound(got.tuple_value, "nn.batch_norm")
    if norm is None or norm.attrs.training:
        return None
    emit, op, x = graph.emit, relax.op, norm.args[0]
    scale, shift = _scale_and_shift(norm, graph)
    axis = int(norm.attrs.axis) % x.ty.ndim
    channels = [1] * axis + [-1] + [1] * (x.ty.ndim - 1 - axis)
    wide, shift = emit(op.reshape(scale, channels)), emit(op.reshape(shift, channels))
    unbiased, bias = _without_bias(x, graph)
    convolution = _convolution(unbiased, axis, graph)
    if convolution is None:
        return op.add(emit(op.multiply(x, wide)), shift)
    if bias is not None:
        shift = emit(op.add(emit(op.multiply(bias, wide)), shift))
    return op.add(emit(_scaled(convolution, scale, graph)), shift)


#: In the order in which they are tried.
RULES: tuple[Rule, ...] = (weights_of_equal_rank, reduction_in_pairs, batch_norm_as_scale)


def _stacked(reduction: Any, graph: Graph) -> list[Any]:
    """The tensors that are stacked and reduced element by element; none if it is another."""
    from tvm import relax

    if reduction.attrs.keepdims or reduction.attrs.axis is None:
        return []
    stack = graph.bound(reduction.args[0], "stack")
    if stack is None or not isinstance(stack.args[0], relax.Tuple):
        return []
    if [int(a) for a in reduction.attrs.axis] != [0] or int(stack.attrs.axis or 0) != 0:
        return []
    wide = [(part, graph.bound(part, "broadcast_to")) for part in stack.args[0].fields]
    return [part if to is None else to.args[0] for part, to in wide]


def _scale_and_shift(norm: Any, graph: Graph) -> tuple[Any, Any]:
    """Of each channel: gamma / sqrt(variance + epsilon), and beta - mean * scale."""
    from tvm import relax

    emit, op = graph.emit, relax.op
    _, gamma, beta, mean, variance = norm.args
    dtype = str(variance.ty.dtype)
    epsilon = relax.const(float(norm.attrs.epsilon), dtype)
    deviation = emit(op.sqrt(emit(op.add(variance, epsilon))))
    scale = emit(op.divide(gamma if norm.attrs.scale else relax.const(1, dtype), deviation))
    shift = emit(op.negative(emit(op.multiply(mean, scale))))
    return scale, emit(op.add(beta, shift)) if norm.attrs.center else shift


def _without_bias(x: Any, graph: Graph) -> tuple[Any, Any]:
    """What a bias was added to, and the bias; None where none was."""
    added = graph.bound(x, "add")
    if added is None or graph.uses[x] != 1 or not graph.is_fixed(added.args[1]):
        return x, None
    same = added.args[0].ty.ndim == x.ty.ndim  # a bias of more axes makes more
    return tuple(added.args) if same else (x, None)


def _convolution(x: Any, axis: int, graph: Graph) -> Any:
    """The one that a variable stands for, if a scale of its channels can go into its weights."""
    if graph.uses[x] != 1:
        return None
    for name in _CONVOLUTIONS:
        call = graph.bound(x, name)
        if call is not None and graph.is_fixed(call.args[1]):
            return call if str(call.attrs.out_layout).index("C") == axis else None
    return None


def _scaled(convolution: Any, scale: Any, graph: Graph) -> Any:
    """A convolution with its weights multiplied by a scale of each output channel."""
    from tvm import relax

    data, weight = convolution.args
    ones = [-1 if letter == "O" else 1 for letter in str(convolution.attrs.kernel_layout)]
    channels = graph.emit(relax.op.reshape(scale, ones))
    weight = graph.emit(relax.op.multiply(weight, channels))
    return relax.Call(convolution.op, [data, weight], convolution.attrs)
