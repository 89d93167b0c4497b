"""Model files, written for a test; and what TVM computes of them, as it is compiled untuned."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from balto.data.target import LLVM


def onnx_file(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str] | None],
    opset: int = 18,
    functions: Sequence[onnx.FunctionProto] = (),
    **weights: Any,
) -> str:
    """A file of float32 inputs and outputs, by their shapes; None where it states none."""

    def info(name: str, shape: Sequence[int | str] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        list(nodes),
        "net",
        [info(*each) for each in inputs.items()],
        [info(*each) for each in outputs.items()],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(each.domain, 1) for each in functions]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
    onnx.save(model, path)
    return str(path)


def computed(
    spec: str,
    arrays: Sequence[NDArray[Any]],
    folder: Path,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> list[NDArray[Any]]:
    """What a network computes, compiled as it is deployed with nothing tuned. Runs in a worker."""
    from balto.deploy.compile import compile_network, read
    from balto.deploy.machine import load, outputs

    library = Path(tempfile.mkdtemp(dir=folder)) / "net.so"  # a path is loaded once a process
    found = read(spec, LLVM, shapes or {})
    target = found.tasks[0].target if found.tasks else LLVM
    compile_network(spec, target, {}, library, shapes=shapes or {})
    return outputs(load(library, target)["main"], arrays, target)


def normal(*shape: int) -> NDArray[np.float32]:
    """The same numbers for a shape."""
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)
