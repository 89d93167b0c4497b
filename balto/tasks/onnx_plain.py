"""ONNX nodes written as others that TVM has, and computes right. Runs in a worker.

TVM reads ``Tile`` at the remainder of an index, such as ``x[i % 4]``, and LLVM's vectoriser
compiles that wrongly for processors with AVX-512. A tensor that is concatenated with itself has no
remainder. Of constants, TVM has tensors alone; and it computes some shapes when a network runs
although they are weights, if they are no constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: NumPy's type of what a constant is given as, where that is no tensor.
_TYPES = {
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_float": np.float32,
    "value_floats": np.float32,
}
#: Inputs that TVM does not look for among the weights.
_NOT_LOOKED_FOR = {"Expand": (1,), "Range": (0, 1, 2)}


def written_plainly(model: Any) -> bool:
    """Write constants as tensors and tiles as concatenations; says whether there were any.

    Args:
        model: of onnx_ir, with shapes and constants worked out; it is changed.
    """
    own = [node for node in model.graph.all_nodes() if node.domain == ""]
    constants = [node for node in own if node.op_type == "Constant" and _as_tensor(node)]
    moved = [node for node in own if _with_constants(node)]
    moved += [node for node in own if _above_threshold(node)]
    masked = [node for node in own if _asks_for_lowest(node)]
    for node in masked:
        _ask_of_each(node)
    tiles = [node for node in own if node.op_type == "Tile" and _repeats(node)]
    for node in tiles:
        _concatenate(node)
    return bool(constants or moved or masked or tiles)


def _as_tensor(node: Any) -> bool:
    import onnx_ir

    [(name, attribute)] = node.attributes.items()
    if name not in _TYPES:
        return False
    array = np.asarray(attribute.value, _TYPES[name])
    del node.attributes[name]
    node.attributes["value"] = onnx_ir.AttrTensor("value", onnx_ir.tensor(array))
    return True


def _with_constants(node: Any) -> bool:
    """Let inputs that are weights be constants; says whether there were any."""
    inputs = [k for k in _NOT_LOOKED_FOR.get(node.op_type, ()) if node.inputs[k].is_initializer()]
    for k in inputs:
        _give(node, k, node.inputs[k].const_value.numpy())
    return bool(inputs)


def _above_threshold(node: Any) -> bool:
    """Let boxes that overlap as much as the threshold stay: TVM leaves them out, ONNX does not."""
    given = node.inputs[3] if node.op_type == "NonMaxSuppression" and len(node.inputs) > 3 else None
    if given is None or given.const_value is None:
        return False
    _give(node, 3, np.nextafter(given.const_value.numpy(), np.float32(np.inf)))
    return True


def _give(node: Any, number: int, array: NDArray[Any]) -> None:
    """Give a node a constant as one of its inputs."""
    import onnx_ir

    tape = onnx_ir.tape.Tape()
    constant = tape.op("Constant", [], {"value": onnx_ir.tensor(array)})
    node.replace_input_with(number, constant)
    node.graph.insert_before(node, tape.nodes)


def _asks_for_lowest(node: Any) -> bool:
    """Whether a node asks if a maximum is minus infinity: TVM's is the least finite number then."""
    if node.op_type != "Equal" or node.inputs[1].const_value is None:
        return False
    made = node.inputs[0].producer()
    lowest = node.inputs[1].const_value.numpy()
    asked = lowest.size == 1 and bool(lowest == -np.inf)
    return asked and made is not None and made.op_type == "ReduceMax"


def _ask_of_each(node: Any) -> None:
    """Ask whether all that the maximum is of are minus infinity."""
    import onnx_ir

    greatest, y = node.inputs[0].producer(), node.outputs[0]
    tape = onnx_ir.tape.Tape()
    each = tape.op("Equal", [greatest.inputs[0], node.inputs[1]])
    number = tape.op("Cast", [each], {"to": onnx_ir.DataType.INT32})
    attributes = {name: value.value for name, value in greatest.attributes.items()}
    least = tape.op("ReduceMin", [number, *greatest.inputs[1:]], attributes)
    value = tape.op("Cast", [least], {"to": onnx_ir.DataType.BOOL})
    value.type, value.shape = y.type, y.shape
    onnx_ir.convenience.replace_nodes_and_values(node.graph, node, [node], tape.nodes, [y], [value])


def _repeats(node: Any) -> list[int]:
    """How often a tile repeats each axis; empty if that is not constant, or none is left."""
    given = node.inputs[1].const_value
    repeats = [] if given is None else [int(n) for n in given.numpy()]
    return repeats if all(repeats) else []


def _concatenate(node: Any) -> None:
    import onnx_ir

    x, y = node.inputs[0], node.outputs[0]
    tape, value = onnx_ir.tape.Tape(), x
    for axis, count in enumerate(_repeats(node)):
        value = _repeated(tape, value, axis, count)
    if value is x:
        value = tape.op("Identity", [x])
    value.type, value.shape = y.type, y.shape
    onnx_ir.convenience.replace_nodes_and_values(node.graph, node, [node], tape.nodes, [y], [value])


def _repeated(tape: Any, value: Any, axis: int, count: int) -> Any:
    """A tensor so often along an axis: of halves, so that there are few nodes."""
    if count == 1:
        return value
    half = _repeated(tape, value, axis, count // 2)
    parts = [half, half, value] if count % 2 else [half, half]
    return tape.op("Concat", parts, {"axis": axis})
