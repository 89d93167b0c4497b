"""Where a network that TVM computes otherwise begins to differ. Runs in a worker.

The network is saved with all intermediate tensors as outputs, compiled, and compared output by
output: the first that differs names the operator. Of an ONNX file's operator, the reference
evaluator is asked too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.target import Target
from balto.deploy import reference
from balto.deploy.compile import Tensor, compile_network, network_tolerance
from balto.deploy.machine import load, outputs, random_inputs
from balto.deploy.tolerance import Tolerance
from balto.deploy.verify import distance, how_far
from balto.tasks.read_onnx import onnx_model
from balto.tasks.read_torch import exported_program
from balto.tasks.shapes import Shapes
from balto.text import one_line


def first_difference(spec: str, inputs: Sequence[Tensor], target: Target, shapes: Shapes) -> str:
    """At which operator TVM begins to compute something else, and who says what; for people.

    Args:
        spec: network or model file.
        inputs: of the network.
        target: to compile for.
        shapes: as the network was read with.
    """
    with tempfile.TemporaryDirectory(prefix="balto-") as folder:
        opened = str(Path(folder) / f"opened{'.pt2' if reference.from_torch(spec) else '.onnx'}")
        library = Path(folder) / "opened.so"
        try:
            save = _open_torch if reference.from_torch(spec) else _open_onnx
            names = save(spec, opened)
            compile_network(opened, target, {}, library, shapes=shapes)
            arrays = random_inputs(inputs)
            judge, expected = reference.expected(opened, arrays)
            got = outputs(load(library, target)["main"], arrays, target)
        except Exception as error:
            return f"where the difference begins is not known: {one_line(error)}"
        tolerance = network_tolerance(spec, target, shapes)
        for k, (name, a, b) in enumerate(zip(names, got, expected, strict=True)):
            if distance(a, b, tolerance) > 1:
                told = f"the difference begins at {name}, which {how_far(a, b, tolerance, judge)}"
                if not reference.from_torch(spec) and judge != reference.EVALUATOR:
                    return f"{told}; {_third(opened, k, arrays, expected, (a, b), tolerance)}"
                return told
        return "no operator alone differs: the difference comes from how TVM fuses them"


def _open_torch(spec: str, path: str) -> list[str]:
    """Save a torch network with the result of each operator as an output; returns their names."""
    import torch
    from torch.export.graph_signature import OutputKind, OutputSpec, TensorArgument
    from torch.utils import _pytree

    program = exported_program(spec)
    nodes = [
        node
        for node in program.graph.nodes
        if node.op == "call_function" and isinstance(node.meta.get("val"), torch.Tensor)
    ]
    program.graph.output_node().args = (tuple(nodes),)
    program.graph_signature.output_specs[:] = [
        OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in nodes
    ]
    whole = next(each for each in program.module_call_graph if each.fqn == "")
    whole.signature.outputs[:] = [TensorArgument(node.name) for node in nodes]
    whole.signature.out_spec = _pytree.tree_structure(tuple(nodes))
    torch.export.save(program, path)
    return [f"{node.target} ({node.name})" for node in nodes]


def _open_onnx(spec: str, path: str) -> list[str]:
    """Save an ONNX file with the results of each operator as outputs; returns their names."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx_model(spec))
    kinds = {each.name: each for each in [*model.graph.value_info, *model.graph.output]}
    made = [
        (node, name)
        for node in model.graph.node
        for name in node.output
        if name in kinds and node.op_type != "Constant"
    ]
    del model.graph.output[:]
    model.graph.output.extend(kinds[name] for _, name in made)
    onnx.save(model, path)
    return [" ".join(filter(None, (node.op_type, node.name, f"({name})"))) for node, name in made]


def _third(
    opened: str,
    place: int,
    arrays: Sequence[NDArray[Any]],
    expected: Sequence[NDArray[Any]],
    results: tuple[NDArray[Any], NDArray[Any]],
    tolerance: Tolerance,
) -> str:
    """What ONNX's reference evaluator makes of one operator of what `_open_onnx` saved.

    Args:
        opened: the file.
        place: of the operator's output among those of the file.
        arrays: the file's inputs.
        expected: its outputs, as ONNX Runtime has them: the operator's inputs among them.
        results: of the operator, TVM's and ONNX Runtime's.
        tolerance: of the network.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx_model(opened)
    names = [each.name for each in model.graph.output]
    known: Mapping[str, Any] = {
        **{each.name: numpy_helper.to_array(each) for each in model.graph.initializer},
        **dict(zip([each.name for each in model.graph.input], arrays, strict=True)),
        **dict(zip(names, expected, strict=True)),
    }
    try:
        node = next(each for each in model.graph.node if names[place] in each.output)
        constants = [each for each in model.graph.node if each.op_type == "Constant"]
        given = [name for name in dict.fromkeys(node.input) if name in known]
        tensors = [numpy_helper.from_array(np.asarray(known[name]), name) for name in given]
        graph = onnx.helper.make_graph(
            [*constants, node], "one", [], [model.graph.output[place]], tensors
        )
        alone = Path(opened).with_name("one.onnx")
        onnx.save(onnx.helper.make_model(graph, opset_imports=model.opset_import), alone)
        [third] = reference.evaluated(str(alone), [])
    except Exception as error:
        return f"{reference.EVALUATOR} does not run it: {one_line(error)}"
    sides = [distance(third, each, tolerance) <= 1 for each in results]
    agreed = {(True, False): "TVM", (False, True): reference.ONNX_RUNTIME}
    return f"{reference.EVALUATOR} agrees with {agreed.get((sides[0], sides[1]), 'neither')}"
