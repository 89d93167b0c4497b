"""Nodes of ONNX graphs, how they are named, and what is known of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Domains of ONNX's own operators.
_OWN = ("", "ai.onnx")


def nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph, those of branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            subgraphs: Iterable[Any] = [*attribute.graphs]
            for inner in [attribute.g, *subgraphs] if attribute.HasField("g") else subgraphs:
                yield from nodes(inner)


def is_own(node: Any) -> bool:
    """Whether a node's operator is one of ONNX's own."""
    return node.domain in _OWN


def place(node: Any) -> str:
    """The name of a node, or of its first output."""
    return str(node.name or next(iter(node.output), ""))


def attributes(node: Any) -> dict[str, Any]:
    """Attributes of a node, by name."""
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


class Known:
    """What is known of a model: constants, types, and which values something needs.

    Args:
        model: with its weights in it, or beside it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant that is in the file; None for anything else."""
        from onnx import TensorProto, numpy_helper

        found = self._constants.get(name)
        if found is None or found.data_location == TensorProto.EXTERNAL:
            return None
        return np.asarray(numpy_helper.to_array(found))

    def is_float(self, name: str) -> bool:
        """Whether a tensor is of floating-point numbers, as far as ONNX can tell."""
        from onnx import TensorProto

        floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
        return self.type(name) in floats

    def type(self, name: str) -> int:
        """ONNX's number of a tensor's type; 0 if it is not known."""
        found = self._constants.get(name)
        return int(found.data_type if found else getattr(self._types.get(name), "elem_type", 0))

    def shape(self, name: str) -> list[int]:
        """Sizes of a tensor's dimensions; 0 if one is not known, and empty if all are not."""
        if name in self._constants:
            return list(self._constants[name].dims)
        found = self._types.get(name)
        return [int(each.dim_value) for each in found.shape.dim] if found else []

    def are_used(self, names: Any) -> bool:
        """Whether something needs one of these values."""
        return any(name in self._used for name in names)

    @cached_property
    def _constants(self) -> Mapping[str, Any]:
        found = {weight.name: weight for weight in self._model.graph.initializer}
        for node in nodes(self._model.graph):
            if node.op_type == "Constant" and is_own(node):
                made = attributes(node)
                if "value" in made:
                    found[node.output[0]] = made["value"]
        return found

    @cached_property
    def _types(self) -> Mapping[str, Any]:
        from onnx import shape_inference

        graph = shape_inference.infer_shapes(self._model).graph
        values = (*graph.input, *graph.value_info, *graph.output)
        return {value.name: value.type.tensor_type for value in values}

    @cached_property
    def _used(self) -> set[str]:
        used = {value.name for value in self._model.graph.output}
        for node in nodes(self._model.graph):
            used.update(node.input)
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    used.update(value.name for value in graph.output)
        return used
