"""What TVM's importer of ONNX computes wrongly, without a word of it. Runs in a worker.

Found with ONNX's own tests of its operators: see `docs/notes/onnx-operators.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from balto.tasks.onnx_nodes import Known, attributes, is_own, nodes, place


def wrong(model: Any) -> Iterator[tuple[str, str]]:
    """What TVM computes wrongly, and the place of each such node.

    Args:
        model: an ONNX model whose constants are computed.
    """
    known = Known(model)
    for node in nodes(model.graph):
        rule = RULES.get(node.op_type) if is_own(node) else None
        if rule and (what := rule(node, known)):
            yield f"{node.op_type} {what}", place(node)


def wrong_functions(model: Any) -> set[str]:
    """Operators that TVM computes wrongly, and that ONNX defines by others.

    Args:
        model: an ONNX model.
    """
    return {
        name
        for name in (what.split()[0] for what, _ in wrong(model))
        if name in ("LayerNormalization", "SpaceToDepth")
    }


def _input(node: Any, number: int) -> str:
    """The name of an input; empty if it is left out."""
    return node.input[number] if len(node.input) > number else ""


def _batch_normalization(node: Any, known: Known) -> str:
    if attributes(node).get("training_mode"):
        return "with training_mode"
    return "with more than one output" if known.are_used(node.output[1:]) else ""


def _bit_shift(node: Any, known: Known) -> str:
    by = known.constant(_input(node, 1))
    if by is None:
        return "by what is not constant"
    outside = ((by < 0) | (by >= 8 * by.dtype.itemsize)).any()
    return "by less than 0 bits or all of them" if outside else ""


def _conv_transpose(node: Any, known: Known) -> str:
    """TVM does not read the shape: right where it is what comes out without it."""
    given = attributes(node)
    if "output_shape" not in given:
        return ""
    kernel, sizes = known.shape(_input(node, 1))[2:], known.shape(_input(node, 0))[2:]
    ones, zeros = [1] * len(kernel), [0] * len(kernel)
    strides, dilations = (given.get(name, ones) for name in ("strides", "dilations"))
    more, pads = given.get("output_padding", zeros), given.get("pads", zeros * 2)
    without = [
        strides[k] * (n - 1)
        + (kernel[k] - 1) * dilations[k]
        + 1
        + more[k]
        - sum(pads[k :: len(kernel)])
        for k, n in enumerate(sizes)
    ]
    same = without == list(given["output_shape"])[-len(sizes) :] and "auto_pad" not in given
    return "" if same else "with output_shape"


def _dropout(node: Any, known: Known) -> str:
    if known.are_used(node.output[1:]):
        return "with its mask as an output"
    if not _input(node, 2):
        return ""
    trains, ratio = known.constant(node.input[2]), known.constant(_input(node, 1))
    idle = (trains is not None and not trains.any()) or (ratio is not None and not ratio.any())
    return "" if idle else "with training_mode"


def _is_inf(node: Any, _: Known) -> str:
    given = attributes(node)
    both = given.get("detect_negative", 1) and given.get("detect_positive", 1)
    return "" if both else "of one sign"


def _layer_normalization(node: Any, known: Known) -> str:
    return "with more than one output" if known.are_used(node.output[1:]) else ""


def _mod(node: Any, known: Known) -> str:
    floats = known.is_float(_input(node, 0))
    return "of floats with fmod=0" if floats and not attributes(node).get("fmod") else ""


def _non_max_suppression(node: Any, known: Known) -> str:
    for number, name in enumerate(("max_output_boxes_per_class", "iou_threshold"), 2):
        if known.constant(_input(node, number)) is None:
            return f"without a constant {name}"
    scores = _input(node, 4)
    return "without a constant score_threshold" if scores and known.constant(scores) is None else ""


def _resize(node: Any, known: Known) -> str:
    """Only what is left by `balto.tasks.onnx_resize`."""
    given = attributes(node)
    if given.get("antialias"):
        return "with antialias"
    scales, sizes = known.constant(_input(node, 2)), known.shape(_input(node, 0))
    aligned = given.get("coordinate_transformation_mode") == b"align_corners"
    if not aligned or scales is None or not len(scales) or not sizes:
        return ""
    axes = given.get("axes", range(len(sizes)))
    new = [sizes[axis] * float(str(scale)) for axis, scale in zip(axes, scales, strict=True)]
    whole = all(abs(size - round(size)) < 1e-6 * size for size in new)
    return "with align_corners and scales that give no whole size" if not whole else ""


def _roi_align(node: Any, _: Known) -> str:
    return "with mode=max" if attributes(node).get("mode", b"avg") == b"max" else ""


def _space_to_depth(node: Any, _: Known) -> str:
    return "with mode=CRD" if attributes(node).get("mode", b"DCR") == b"CRD" else ""


def _tile(node: Any, known: Known) -> str:
    """Only what is left by `balto.tasks.onnx_plain`."""
    repeats = known.constant(_input(node, 1))
    return "" if repeats is None or (repeats == 1).all() else "with constant repeats"


def _top_k(node: Any, known: Known) -> str:
    from onnx import TensorProto

    return "of uint64" if known.type(_input(node, 0)) == TensorProto.UINT64 else ""


#: By operator: what of a node is wrong, or an empty text.
RULES: Mapping[str, Callable[[Any, Known], str]] = {
    "BatchNormalization": _batch_normalization,
    "BitShift": _bit_shift,
    "ConvTranspose": _conv_transpose,
    "Dropout": _dropout,
    "IsInf": _is_inf,
    "LayerNormalization": _layer_normalization,
    "Mod": _mod,
    "NonMaxSuppression": _non_max_suppression,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "SpaceToDepth": _space_to_depth,
    "Tile": _tile,
    "TopK": _top_k,
}
