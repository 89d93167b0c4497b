"""ONNX files, as ONNX and as TVM have them. Runs in a worker.

TVM's importer wants sizes and values where files have what computes them: shapes that are
gathered, reshaped by and concatenated, an ``If`` around a squeeze, functions. Before it sees a
network, its functions are inlined by ONNX's own inliner, and what is constant is computed by
onnxscript. Weights beside a file stay there until the importer needs them: neither library takes
more than 2 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from balto.extras import needed_for
from balto.tasks.lacking import refuse, refuse_wrong
from balto.tasks.onnx_nodes import is_own, nodes, place
from balto.tasks.onnx_plain import written_plainly
from balto.tasks.onnx_resize import resized
from balto.tasks.onnx_wrong import wrong, wrong_functions
from balto.tasks.shapes import Open, Shapes, names, settled
from balto.text import last_line, one_line

#: What TVM's importer takes for Microsoft's operator of the same name.
_MISTAKEN = ("Attention",)
_MICROSOFT = "com.microsoft"
#: What it computes without its table.
_BUILT_IN = ("If", "Constant")


def onnx_model(spec: str) -> Any:
    """An ONNX file whose inputs are what changes from run to run."""
    model = _without_weights_beside(spec)
    _load_weights(model, spec)
    return model


def read_onnx(spec: str, shapes: Shapes) -> tuple[Any, list[str], list[str], list[str]]:
    """A file as TVM imports it.

    Args:
        spec: path of the file.
        shapes: sizes of dimensions that are open.

    Returns:
        A Relax module, with its weights as attributes; the names of its inputs; the names for
        which shapes can be given; and notes for people.

    Raises:
        InputError: If a dimension has no size, or there are operators that TVM does not have or
            computes wrongly.
    """
    from tvm.relax.frontend.onnx import from_onnx

    model = _without_weights_beside(spec)
    opened = [_open(each) for each in model.graph.input]
    _set_shapes(model, opened, settled(spec, opened, shapes))
    model = _inlined(model)
    model, notes = _folded(model, spec)
    refuse(spec, _lacking(model))
    refuse_wrong(spec, wrong(model))
    _load_weights(model, spec)
    module = from_onnx(model, keep_params_in_input=True)
    return module, [name for name, _ in opened], names(opened), notes


def _without_weights_beside(spec: str) -> Any:
    """The file itself, checked, without what other files hold of it."""
    import onnx

    model = onnx.load(spec, load_external_data=False)
    _check(model)
    _leave_weights_out_of_inputs(model)
    return model


def _check(model: Any) -> None:
    """ONNX's own checks, of a model whose weights and shapes of outputs may be elsewhere."""
    import onnx

    light = onnx.ModelProto()
    light.CopyFrom(model)
    for weight in light.graph.initializer:
        if weight.data_location == onnx.TensorProto.EXTERNAL:
            weight.CopyFrom(
                onnx.TensorProto(name=weight.name, data_type=weight.data_type, dims=[0])
            )
    for output in light.graph.output:
        if output.type.WhichOneof("value") in (None, "tensor_type"):
            output.type.tensor_type.shape.SetInParent()
            output.type.tensor_type.elem_type = output.type.tensor_type.elem_type or 1
    onnx.checker.check_model(light)


def _load_weights(model: Any, spec: str) -> None:
    from onnx.external_data_helper import load_external_data_for_model

    load_external_data_for_model(model, str(Path(spec).parent))


def _leave_weights_out_of_inputs(model: Any) -> None:
    """Let the inputs of an ONNX graph be what changes from run to run.

    Up to version 3 of its format a graph lists its weights among its inputs, in any order. TVM
    keeps that order and takes the first ones for the data: where a weight comes first, everything
    depends on weights alone, is lifted out, and no task is left.
    """
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [given for given in model.graph.input if given.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)


def _open(value: Any) -> Open:
    """An input's name, and its dimensions' sizes or names."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return value.name, None
    return value.name, [d.dim_value if d.dim_value > 0 else d.dim_param for d in kind.shape.dim]


def _set_shapes(model: Any, opened: Sequence[Open], found: Mapping[str, Sequence[int]]) -> None:
    """Give inputs their shapes; what the file says of others, in names, is then worked out."""
    if all(dims == found[name] for name, dims in opened):
        return
    for value in model.graph.input:
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in found[value.name]:
            shape.dim.add().dim_value = size
    del model.graph.value_info[:]
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.ClearField("dim_param")


def _inlined(model: Any) -> Any:
    """A model without functions of its own, nor operators that TVM lacks or gets wrong."""
    from onnx import defs, inliner

    there = _converted() - set(_MISTAKEN) - wrong_functions(model)
    wanted = {node.op_type for node in nodes(model.graph) if is_own(node)} - there
    wanted = {name for name in wanted if name not in _BUILT_IN and defs.has(name)}
    if not wanted and not model.functions:
        return model
    _state_types(model)
    own = [(function.domain, function.name) for function in model.functions]
    made = inliner.inline_selected_functions(
        model, [*own, *(("", name) for name in sorted(wanted))], inline_schema_functions=True
    )
    for value in [each for each in made.graph.value_info if not each.name]:
        made.graph.value_info.remove(value)
    return made


def _state_types(model: Any) -> None:
    """Of weights and of inputs that are left out: ONNX's inliner asks for the types of all."""
    from onnx import helper

    stated = {value.name for value in (*model.graph.input, *model.graph.value_info)}
    model.graph.value_info.extend(
        helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        for weight in model.graph.initializer
        if weight.name not in stated
    )
    model.graph.value_info.add().type.tensor_type.SetInParent()  # it has no name


def _folded(model: Any, spec: str) -> tuple[Any, list[str]]:
    """A model in which what is constant is computed, and a note where it cannot be."""
    with needed_for(one_line(spec)):
        import onnx_ir
        from onnxscript import optimizer

    try:
        made = onnx_ir.from_proto(model)
        onnx_ir.external_data.set_base_dir(made.graph, str(Path(spec).parent))
        changed = bool(optimizer.fold_constants(made, onnx_shape_inference=True).modified)
        changed |= resized(made)
        changed |= written_plainly(made)
        optimizer.remove_unused_nodes(made)
        return (onnx_ir.to_proto(made) if changed else model), []
    except Exception as error:
        return model, [f"onnxscript cannot fold its constants: {last_line(error)}"]


def _lacking(model: Any) -> Iterator[tuple[str, str]]:
    """Name and place of each node that TVM's importer does not have."""
    there = _converted() | set(_BUILT_IN)
    for node in nodes(model.graph):
        own = is_own(node)
        known = node.op_type in there and (own or node.domain == _MICROSOFT)
        if not known or (own and node.op_type in _MISTAKEN):
            name = node.op_type if own else f"{node.domain}.{node.op_type}"
            yield name, place(node)


def _converted() -> set[str]:
    """Operators that TVM's importer has."""
    from tvm.relax.frontend.onnx import onnx_frontend

    return set(onnx_frontend._get_convert_map())
