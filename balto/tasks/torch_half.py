"""Programs of float16 and bfloat16, whose products TVM leaves in float32. Runs in a worker.

TVM's importer gives every matrix product and convolution the type float32, and then cannot add a
bias of another one. Here the bias is float32 too, and what comes out is what torch says it is: a
product is then summed up in float32, and rounded once.
"""

from __future__ import annotations

from typing import Any

#: Operators whose result TVM makes float32, and which argument is their bias.
_PRODUCTS = {
    "mm.default": None,
    "bmm.default": None,
    "matmul.default": None,
    "addmm.default": 0,
    "baddbmm.default": 0,
    "linear.default": 2,
    "convolution.default": 2,
    "conv1d.default": 2,
    "conv2d.default": 2,
    "conv3d.default": 2,
    "conv_transpose1d.default": 2,
    "conv_transpose2d.input": 2,
}


def with_casts(program: Any) -> Any:
    """A program in which products that are not float32 say so, to TVM."""
    import torch

    graph = program.graph_module.graph
    for node in list(graph.nodes):
        name = getattr(node.target, "__name__", "") if node.op == "call_function" else ""
        value = node.meta.get("val")
        if name not in _PRODUCTS or value is None or value.dtype == torch.float32:
            continue
        place = _PRODUCTS[name]
        if place is not None and len(node.args) > place and node.args[place] is not None:
            with graph.inserting_before(node):
                node.update_arg(place, _cast(graph, node.args[place], torch.float32))
        with graph.inserting_after(node):
            cast = _cast(graph, node, value.dtype)
        node.replace_all_uses_with(cast, delete_user_cb=lambda user, own=cast: user is not own)
        cast.meta["val"] = value
    return program


def _cast(graph: Any, node: Any, dtype: Any) -> Any:
    import torch

    return graph.call_function(torch.ops.aten._to_copy.default, (node,), {"dtype": dtype})
