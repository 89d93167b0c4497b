"""Nodes of ONNX graphs, and how they are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

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
