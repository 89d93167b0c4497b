"""Group normalisation as TVM can search it. Runs in a worker with TVM.

TVM computes it of a reshaped tensor, with both sums at once; of this it can draw no program, and
half of a diffusion block's time stays with the default schedule. Here the groups are read where
they lie, and the mean comes before the variance, which is also the more exact way.
"""

from __future__ import annotations

from math import prod
from typing import Any

from balto.tasks.rewrite import Graph, constant_shape, operator, rewritten


def searchable(module: Any) -> Any:
    """A Relax network whose group normalisations are reductions of the tensor as it lies.

    Args:
        module: before its operators are lowered.
    """
    return rewritten(module, (_reduced_as_it_lies,))


def _reduced_as_it_lies(call: Any, graph: Graph) -> Any:
    """Rule: a group normalisation of constant shape over all axes but the first and the channels'.

    The channels' axis is the one whose groups are normalised.
    """
    if operator(call) != "nn.group_norm" or constant_shape(call.args[0]) is None:
        return None
    rank, attributes = call.args[0].ty.ndim, call.attrs
    channel = int(attributes.channel_axis) % rank
    summed = sorted(int(axis) % rank for axis in attributes.axes)
    if summed != [axis for axis in range(1, rank) if axis != channel]:
        return None
    return graph.builder.call_te(
        _normalised,
        *call.args,
        groups=int(attributes.num_groups),
        channel=channel,
        epsilon=float(attributes.epsilon),
        primfunc_name_hint="group_norm",
    )


def _normalised(
    data: Any, gamma: Any, beta: Any, *, groups: int, channel: int, epsilon: float
) -> Any:
    """Of tensor expressions: `data` with its mean and variance taken over all axes but the first.

    Args:
        data: of any rank.
        gamma: of as many elements as there are channels.
        beta: the same.
        groups: of channels, each of which has a mean and a variance of its own.
        channel: the axis of the channels.
        epsilon: added to the variance.
    """
    from tvm import te, tirx

    shape = [int(n) for n in data.shape]
    each = shape[channel] // groups
    count = each * prod(shape[1:]) // shape[channel]

    def reduced(name: str, of: Any) -> Any:
        """A sum of each group, over all that is in it."""
        sizes = [each if axis == channel else n for axis, n in enumerate(shape)][1:]
        axes = [te.reduce_axis((0, n), f"k{k}") for k, n in enumerate(sizes)]

        def total(n: Any, g: Any) -> Any:
            index = [n, *axes]
            index[channel] = g * each + axes[channel - 1]
            return te.sum(of(index, n, g), axis=axes)

        return te.compute((shape[0], groups), total, name=name)

    def value(index: Any) -> Any:
        return data(*index).astype("float32")

    sums = reduced("group_sum", lambda index, _n, _g: value(index))
    mean = te.compute(sums.shape, lambda *at: sums(*at) / float(count), name="group_mean")

    def squared(index: Any, n: Any, g: Any) -> Any:
        return (value(index) - mean(n, g)) * (value(index) - mean(n, g))

    squares = reduced("group_squares", squared)
    scale = te.compute(
        sums.shape,
        lambda *at: tirx.rsqrt(squares(*at) / float(count) + tirx.const(epsilon, "float32")),
        name="group_scale",
    )

    def result(*index: Any) -> Any:
        c, g = index[channel], index[channel] // each
        whole = (value(index) - mean(index[0], g)) * scale(index[0], g)
        weighted = whole * gamma(c).astype("float32") + beta(c).astype("float32")
        return weighted.astype(data.dtype)

    return te.compute(shape, result, name="group_norm")
