"""Single operators by name and shape (paper 4.3, 4.4): ``matmul:1024x1024x1024``.

The workloads are TVM's own (``tvm.s_tir.meta_schedule.testing.te_workload``). This table can be
read without TVM; `module` needs it.
"""

from __future__ import annotations

import math
from typing import Any

from balto.arguments import whole_number
from balto.data.plausible import MOST_STEPS
from balto.errors import InputError

#: Operator -> the names of its arguments; those with a default may be left out.
OPERATORS: dict[str, tuple[str, ...]] = {
    "matmul": ("n", "m", "k"),
    "matmul_relu": ("n", "m", "k"),
    "batch_matmul_nkkm": ("B", "N", "M", "K"),
    "transpose_batch_matmul": ("batch", "seq_len", "n_head", "n_dim"),
    "conv1d_nlc": ("N", "L", "CI", "CO", "kernel", "stride=1", "padding=0", "dilation=1"),
    "conv2d_nhwc": (
        *("N", "H", "W", "CI", "CO", "kernel"),
        *("stride=1", "padding=0", "dilation=1", "groups=1"),
    ),
    "conv2d_nchw": (
        *("n", "h", "w", "ci", "co", "kh", "kw", "stride", "padding"),
        "dilation=1",
    ),
    "conv2d_nhwc_bn_relu": (
        *("N", "H", "W", "CI", "CO", "kernel", "stride", "padding"),
        "dilation=1",
    ),
    "conv2d_nchw_bias_bn_relu": (
        *("n", "h", "w", "ci", "co", "kh", "kw", "stride", "padding"),
        "dilation=1",
    ),
    "conv3d_ndhwc": (
        *("N", "D", "H", "W", "CI", "CO", "kernel"),
        *("stride=1", "padding=0", "dilation=1", "groups=1"),
    ),
    "depthwise_conv2d_nhwc": (
        *("N", "H", "W", "C", "kernel"),
        *("stride=1", "padding=0", "dilation=1", "factor=1"),
    ),
    "conv2d_transpose_nhwc": ("N", "H", "W", "CI", "CO", "kernel", "stride=1", "padding=0"),
    "max_pool2d_nchw": ("n", "h", "w", "ci", "padding"),
    "softmax_mn": ("m", "n"),
    "norm_bmn": ("B", "M", "N"),
}
#: What a window of a convolution or pooling has, and what it is where it does not say.
_WINDOW = (("stride", 1), ("padding", 0), ("dilation", 1))
#: The window of TVM's pooling workload.
_POOL = 2


def parse(spec: str) -> tuple[str, list[int]]:
    """An operator and its arguments from ``name:AxBxC``.

    Raises:
        InputError: If there is no such operator, it has another number of arguments, one is not
            positive, or shapes do not fit: groups that do not divide the channels, a window larger
            than the image.
    """
    name, _, shape = spec.partition(":")
    if name not in OPERATORS:
        raise InputError(f"no operator is called {name!r}; there are {', '.join(OPERATORS)}")
    names = OPERATORS[name]
    required = sum("=" not in n for n in names)
    form = f"{name}:{'x'.join(names)}"
    try:
        args = [whole_number(part) for part in shape.split("x")]
    except ValueError:
        raise InputError(f"expected numbers as in {form}, got {spec!r}") from None
    if not required <= len(args) <= len(names):
        count = f"{required}" if required == len(names) else f"{required} to {len(names)}"
        raise InputError(f"{name} takes {count} numbers, {form}; got {spec!r}")
    for argument, value in zip(names, args, strict=False):
        low = 0 if argument.startswith("padding") else 1
        if value < low:
            raise InputError(
                f"{argument} of {name} must be at least {low}, got {value} in {spec!r}"
            )
    if math.prod(filter(None, args)) > MOST_STEPS:
        raise InputError(
            f"expected sizes that multiply to at most {MOST_STEPS:g} in {form}, got {spec!r}"
        )
    given = {n.partition("=")[0]: int(n.partition("=")[2] or 0) for n in names}
    given.update(zip(given, args, strict=False))
    problem = _impossible(name, given)
    if problem:
        raise InputError(f"{problem}, in {spec!r} ({form})")
    return name, args


def _impossible(name: str, given: dict[str, int]) -> str:
    """Why there is no such convolution or pooling; empty if there is, or it is neither."""
    groups = given.get("groups", 1)
    for channels in ("CI", "CO"):
        if given.get(channels, 0) % groups:
            return f"expected {channels}={given[channels]} to be divisible by groups={groups}"
    if given.get("factor", 1) != 1:
        return f"TVM has depthwise convolutions of factor 1 only, got factor={given['factor']}"
    if "padding" not in given:
        return ""
    stride, padding, dilation = (given.get(n, d) for n, d in _WINDOW)
    for side in (n for n in given if n.upper() in ("L", "D", "H", "W")):
        kernel = given.get("kernel", given.get(f"k{side}", _POOL))
        if name == "conv2d_transpose_nhwc":
            if padding >= kernel or (given[side] - 1) * stride + kernel <= 2 * padding:
                return f"the padding {padding} leaves nothing of {side}={given[side]}"
            continue
        padded, window = given[side] + 2 * padding, dilation * (kernel - 1) + 1
        if window > padded:
            return f"a window of {window} does not fit {side}={given[side]} padded to {padded}"
        if stride > padded:
            return f"a stride of {stride} goes past {side}={given[side]} padded to {padded}"
    return ""


def module(name: str, args: list[int]) -> Any:
    """The operator as an ``IRModule`` with one ``main`` function. Needs TVM."""
    import tvm
    from tvm import te
    from tvm.s_tir.meta_schedule.testing import te_workload

    function = te.create_prim_func(getattr(te_workload, name)(*args))
    return tvm.IRModule({"main": function})
