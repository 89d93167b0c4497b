"""Small networks for the tests, and the programs that spoil them; parts run in a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper


class Small(torch.nn.Sequential):
    """A convolution, a depthwise one, a dense layer and a softmax."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            *(torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU()),
            *(torch.nn.Conv2d(16, 16, 3, padding=1, groups=16), torch.nn.ReLU6()),
            *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
            *(torch.nn.Linear(16, 10), torch.nn.Softmax(-1)),
        )
        self.eval()


def save_onnx(path: Path, dimension: int | str = 4, operator: str = "Relu") -> None:
    """A matrix product and an operator."""
    weight = np.random.default_rng(0).normal(size=(16, 32)).astype("float32")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node(operator, ["h"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [dimension, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [dimension, 32])],
        [helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.tobytes(), raw=True)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def save_graph(
    path: Path,
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
    inputs: dict[str, tuple[str, list[int]]],
    outputs: dict[str, tuple[str, list[int]]],
    weights: dict[str, Any],
    version: int = 17,
) -> str:
    """Save a graph: nodes as ``(operator, inputs, outputs, attributes)``; returns its path."""

    def infos(tensors: dict[str, tuple[str, list[int]]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, TensorProto.DataType.Value(dtype), shape)
            for name, (dtype, shape) in tensors.items()
        ]

    graph = helper.make_graph(
        [helper.make_node(name, i, o, **attributes) for name, i, o, attributes in nodes],
        "net",
        infos(inputs),
        infos(outputs),
        [onnx.numpy_helper.from_array(np.asarray(each), name) for name, each in weights.items()],
    )
    opset = helper.make_opsetid("", version)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return str(path)


def save_dropout(path: Path) -> None:
    """A convolution, a dropout as of training, and another convolution."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(8, 8, 3, 3)).astype("float32") for name in ("w", "v")}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1]),
            helper.make_node("Dropout", ["h"], ["d"]),
            helper.make_node("Conv", ["d", "v"], ["y"], pads=[1, 1, 1, 1]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 6, 6])],
        [
            helper.make_tensor(name, TensorProto.FLOAT, each.shape, each.tobytes(), raw=True)
            for name, each in weights.items()
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def save_convolution(path: Path, *, weight_is_a_node: bool, seed: int = 0) -> None:
    """A convolution, its weight among the initializers, or a node as older exporters have it."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(64, 32, 3, 3)).astype("float32")
    weight = helper.make_tensor("w", TensorProto.FLOAT, values.shape, values.tobytes(), raw=True)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    if weight_is_a_node:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=weight))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64, 8, 8])],
        [] if weight_is_a_node else [weight],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def functions_run(library: Path, shape: tuple[int, ...]) -> list[str]:
    """Runs in a worker: the names of the functions that one run of a network calls."""
    import tvm
    from tvm import relax

    names: list[str] = []
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    machine.set_instrument(lambda _f, name, before, *_: names.append(name) if before else None)
    machine["main"](tvm.runtime.tensor(np.zeros(shape, "float32")))
    return [name for name in names if not name.startswith("vm.")]


def save_batch_normalization(path: Path, version: int) -> None:
    """A batch normalisation with mean 1, variance 4, no offset, and scale 2: it subtracts 1."""
    values = {"scale": 2.0, "bias": 0.0, "mean": 1.0, "variance": 4.0}
    shape = [2, 3, 4, 5]
    graph = helper.make_graph(
        [helper.make_node("BatchNormalization", ["x", *values], ["y"], epsilon=0.0)],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor(name, TensorProto.FLOAT, [3], [each] * 3)
            for name, each in values.items()
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)]), path)


def save_relu_of_int16(path: Path) -> None:
    """A matrix product, cast to a type that ONNX Runtime's Relu does not take, and TVM's does."""
    weight = np.random.default_rng(0).normal(size=(16, 32)).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Cast", ["h"], ["i"], to=TensorProto.INT16),
            helper.make_node("Relu", ["i"], ["r"]),
            helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 32])],
        [helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.tobytes(), raw=True)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def save_softmax(path: Path, operator: str, version: int, *, flattened: bool = False) -> None:
    """A softmax of 2 x 3 x 4 x 5 numbers on axis 1, or of each 60 of them."""
    shape = [2, 3, 4, 5]
    to = helper.make_tensor("shape", TensorProto.INT64, [4], shape)
    nodes = [helper.make_node(operator, ["x"], ["y"], axis=1)]
    if flattened:
        nodes = [
            helper.make_node("Flatten", ["x"], ["flat"], axis=1),
            helper.make_node(operator, ["flat"], ["each"], axis=1),
            helper.make_node("Reshape", ["each", "shape"], ["y"]),
        ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [to] if flattened else [],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)]), path)


def of_twins(x: float, weights: tuple[float, float]) -> float:
    """Runs in a worker: ``x`` less one weight, times another of the same name."""
    import tvm
    from tvm import relax

    from balto.deploy.compile import with_weights

    variables = [relax.Var(name, relax.TensorType([1], "float32")) for name in ("x", "w", "w")]
    builder = relax.BlockBuilder()
    with builder.function("main", variables, attrs={"num_input": 1}):
        less = builder.emit(relax.op.subtract(variables[0], variables[1]))
        builder.emit_func_output(builder.emit(relax.op.multiply(less, variables[2])))
    arrays = [tvm.runtime.tensor(np.array([each], "float32")) for each in weights]
    library = relax.build(with_weights(builder.get(), arrays), target="llvm")
    main = relax.VirtualMachine(library, tvm.cpu())["main"]
    return float(main(tvm.runtime.tensor(np.array([x], "float32"))).numpy()[0])


def spoiled(module: str) -> str:
    """Runs in a worker: a trace of a task's module that sums in half precision."""
    from balto.programs.sample import trace_json
    from balto.workers.tvm_setup import import_tvm

    tvm = import_tvm()
    schedule: Any = tvm.s_tir.Schedule(tvm.ir.load_json(module), debug_mask=0)
    block = schedule.get_sblock("matmul")
    schedule.cache_write(block, 0, "global")
    schedule.unsafe_set_dtype(block, 0, "float16")
    return trace_json(schedule)
