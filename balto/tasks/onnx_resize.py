"""ONNX's Resize where TVM computes another one. Runs in a worker.

TVM divides the sizes where the file has the scale: 9 pixels by 1.5 are 13, and 13 / 9 is not 1.5.
It has no ``half_pixel_symmetric``, no smoothing of what becomes smaller, and images of four axes
alone. Here each axis is resized for itself, and each new pixel is a weighted sum of a few old ones,
which are gathered. Coordinates are ONNX Runtime's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Ways in which TVM reads coordinates right where a scale is exact.
_RIGHT = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def resized(model: Any) -> bool:
    """Write each Resize that TVM gets wrong as gathers and sums; says whether there was one.

    Args:
        model: of onnx_ir, with shapes and constants worked out; it is changed.
    """
    nodes = [n for n in model.graph if n.op_type == "Resize" and n.domain == "" and _is_wrong(n)]
    for node in nodes:
        _replace(model.graph, node)
    return bool(nodes)


def _is_wrong(node: Any) -> bool:
    """Whether TVM computes another one; not if sizes are not known: it then says so itself."""
    x, y = node.inputs[0], node.outputs[0]
    known = all(v.shape is not None and v.shape.is_static() for v in (x, y))
    if not known or _text(node, "coordinate_transformation_mode") == "tf_crop_and_resize":
        return False
    if _text(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return False
    way = _text(node, "coordinate_transformation_mode", "half_pixel")
    exact = all(
        scale is None or abs(n * scale - m) < 1e-6 * m
        for n, m, scale in zip(x.shape, y.shape, _scales(node), strict=True)
    )
    if way == "align_corners" and not exact:
        return False  # ONNX and its runtime differ: `balto.tasks.onnx_wrong` refuses it
    usual = len(x.shape) == 4 and list(x.shape)[:2] == list(y.shape)[:2]
    special = any(node.attributes.get_int(name, 0) for name in ("antialias", "exclude_outside"))
    return not (exact and usual and way in _RIGHT and not special)


def _text(node: Any, name: str, default: str = "") -> str:
    return str(node.attributes.get_string(name) or default)


def _scales(node: Any) -> list[float | None]:
    """Of each axis; None where the file gives the size."""
    rank = len(node.inputs[0].shape)
    given = node.inputs[2] if len(node.inputs) > 2 else None
    values = None if given is None or given.const_value is None else given.const_value.numpy()
    scales: list[float | None] = [None] * rank
    if values is not None and len(values):
        axes = node.attributes.get_ints("axes", tuple(range(rank)))
        for axis, value in zip(axes, values, strict=True):
            scales[axis] = float(str(np.float32(value)))  # 0.6, not the nearest number of 32 bits
    return scales


def _replace(graph: Any, node: Any) -> None:
    import onnx_ir

    x, y = node.inputs[0], node.outputs[0]
    tape, value = onnx_ir.tape.Tape(), x
    for axis, (n, m, scale) in enumerate(zip(x.shape, y.shape, _scales(node), strict=True)):
        if n != m or (scale is not None and scale != 1):
            value = _along(tape, value, axis, _matrix(node, n, m, scale))
    onnx_ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [y], [value])


def _along(tape: Any, value: Any, axis: int, matrix: NDArray[Any]) -> Any:
    """A tensor whose axis becomes sums of its elements, by the rows of a matrix."""
    import onnx_ir

    taps = max(1, int((matrix != 0).sum(axis=1).max()))
    order = np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps]
    weights = np.take_along_axis(matrix, order, axis=1)
    rank_after = len(value.shape) - 1 - axis
    total: Any = None
    for index, weight in zip(order.T, weights.T, strict=True):
        where = _constant(tape, index.astype(np.int64))
        part = tape.op("Gather", [value, where], {"axis": axis})
        if not (weight == 1).all():
            wide = weight.reshape(-1, *[1] * rank_after).astype(value.dtype.numpy())
            part = tape.op("Mul", [part, _constant(tape, wide)])
        total = part if total is None else tape.op("Add", [total, part])
    total.type = value.type
    total.shape = onnx_ir.Shape([*value.shape[:axis], len(matrix), *value.shape[axis + 1 :]])
    return total


def _constant(tape: Any, array: NDArray[Any]) -> Any:
    import onnx_ir

    return tape.op("Constant", [], {"value": onnx_ir.tensor(array)})


def _matrix(node: Any, n: int, m: int, scale: float | None) -> NDArray[np.float64]:
    """A row of weights, of `n` old pixels, for each of the `m` new ones."""
    if node.attributes.get_int("antialias", 0):
        return _smoothed(node, n, m, scale)
    x = _coordinates(_text(node, "coordinate_transformation_mode", "half_pixel"), n, m, scale)
    mode = _text(node, "mode", "nearest")
    if mode == "nearest":
        rounded = _ROUND[_text(node, "nearest_mode", "round_prefer_floor")](x)
        first, weights = rounded.astype(int), np.ones((m, 1))
    else:
        first, r = np.floor(x).astype(int), (x - np.floor(x)).astype(np.float64)
        weights = np.stack([1 - r, r], axis=1)
    if mode == "cubic":
        first, weights = first - 1, _cubic(r, node.attributes.get_float("cubic_coeff_a", -0.75))
    old = first[:, None] + np.arange(weights.shape[1])
    if node.attributes.get_int("exclude_outside", 0):
        weights = np.where((old >= 0) & (old < n), weights, 0)
        weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((m, n))
    np.add.at(matrix, (np.arange(m)[:, None], np.clip(old, 0, n - 1)), weights)
    return matrix


#: How ``nearest`` rounds.
_ROUND: dict[str, Callable[[Any], Any]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
}


def _coordinates(mode: str, n: int, m: int, scale: float | None) -> NDArray[np.float32]:
    """Where new pixels lie among the old, in the 32 bits that ONNX Runtime computes them with."""
    y, half = np.arange(m, dtype=np.float32), np.float32(0.5)
    s = np.float32(m / n if scale is None else scale)
    if mode == "asymmetric":
        return y / s
    if mode == "align_corners":
        return y * np.float32(n - 1) / np.float32(max(m - 1, 1))
    if mode == "pytorch_half_pixel" and m == 1:
        return np.zeros(1, np.float32)
    offset = np.float32(0)
    if mode == "half_pixel_symmetric":
        offset = np.float32(n) / 2 * (1 - np.float32(m) / (s * np.float32(n)))
    return offset + (y + half) / s - half


def _cubic(r: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Weights of the four neighbours of a point that lies `r` after the second (Keys, 1981)."""
    distances = np.stack([1 + r, r, 1 - r, 2 - r], axis=1)
    near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    far = ((a * distances - 5 * a) * distances + 8 * a) * distances - 4 * a
    return np.where(distances <= 1, near, far)


def _smoothed(node: Any, n: int, m: int, scale: float | None) -> NDArray[np.float64]:
    """The matrix by ONNX's own evaluator: what it makes of each old pixel alone."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    sizes = scale is None
    given = helper.make_tensor("given", *_given(m, n, scale))
    attributes = {
        name: value.value
        for name, value in node.attributes.items()
        if name in ("mode", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside")
    }
    inputs = ["x", "", "", "given"] if sizes else ["x", "", "given"]
    resize = helper.make_node("Resize", inputs, ["y"], antialias=1, **attributes)
    x, y = (helper.make_tensor_value_info(k, TensorProto.DOUBLE, None) for k in "xy")
    model = helper.make_model(
        helper.make_graph([resize], "axis", [x], [y], [given]),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    [matrix] = ReferenceEvaluator(model).run(None, {"x": np.eye(n)})
    return np.asarray(matrix, np.float64)


def _given(m: int, n: int, scale: float | None) -> tuple[int, list[int], list[float]]:
    """Type, shape and values of the sizes or scales of a matrix whose rows alone are resized."""
    from onnx import TensorProto

    if scale is None:
        return TensorProto.INT64, [2], [m, n]
    return TensorProto.FLOAT, [2], [scale, 1.0]
