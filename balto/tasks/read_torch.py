"""Built-in networks and ``.pt2`` files, as torch and as TVM have them. Runs in a worker.

A program's inputs are the tensors in its arguments, in order: those of keyword arguments, lists
and dictionaries too, by the names that ``torch.export`` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from balto.errors import InputError
from balto.tasks import archives
from balto.tasks.lacking import refuse
from balto.tasks.networks import NETWORKS
from balto.tasks.shapes import Open, Shapes, names, settled
from balto.tasks.torch_half import with_casts
from balto.tasks.torch_plain import decompositions


def exported_program(spec: str) -> Any:
    """A built-in network or a ``.pt2`` file as torch's ``ExportedProgram``."""
    import torch

    if spec not in NETWORKS:
        return archives.load(spec)
    from balto.tasks.zoo import build

    with torch.no_grad():
        return torch.export.export(*build(spec))


def read_torch(spec: str, shapes: Shapes) -> tuple[Any, list[str], list[str]]:
    """A network as TVM imports it.

    Args:
        spec: a built-in network's name, or the path of a ``.pt2`` file.
        shapes: sizes of dimensions that are open.

    Returns:
        A Relax module, with its weights as attributes; the names of its inputs; and the names
        for which shapes can be given.

    Raises:
        InputError: If a dimension has no size, or the program keeps state.
    """
    import torch
    from tvm.relax.frontend.torch import from_exported_program

    program = exported_program(spec)
    given = _inputs(program)
    opened = [(name, _dims(value, shapes)) for name, value in given]
    settled_shapes = settled(spec, opened, shapes)
    known = names((name, _dims(value, {})) for name, value in given)
    _require_in_range(spec, program, opened, settled_shapes)
    with torch.no_grad():
        constants = len(program.graph_signature.user_inputs) > len(given)
        if constants or any(isinstance(n, str) for _, value in given for n in _dims(value, {})):
            program = _of_tensors(program, given, settled_shapes)
        program = program.run_decompositions(decompositions())
        _require_stateless(spec, program)
        refuse(spec, _lacking(program))
        module = from_exported_program(
            with_casts(program), keep_params_as_input=True, run_ep_decomposition=False
        )
    return module, [name for name, _ in given], known


def of_leaves(program: Any) -> Any:
    """A torch module of a program, which takes the program's input tensors one after the other."""
    import torch
    from torch.utils import _pytree

    specs = [each.arg for each in program.graph_signature.input_specs if _is_input(each)]
    fixed = [getattr(arg, "value", None) for arg in specs]
    tensors = [k for k, arg in enumerate(specs) if _is_tensor(arg)]

    class Leaves(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # What an exported module checks of its inputs takes longer than a small network.
            self.inner = program.module(check_guards=False)

        def forward(self, *given: torch.Tensor) -> Any:
            leaves = list(fixed)
            for k, tensor in zip(tensors, given, strict=True):
                leaves[k] = tensor
            args, kwargs = _pytree.tree_unflatten(leaves, program.call_spec.in_spec)
            return self.inner(*args, **kwargs)

    return Leaves()


def _is_input(spec: Any) -> bool:
    return str(spec.kind.name) == "USER_INPUT"


def _is_tensor(arg: Any) -> bool:
    return type(arg).__name__ == "TensorArgument"


def _inputs(program: Any) -> list[tuple[str, Any]]:
    """Name and fake tensor of each input."""
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    specs = [each.arg for each in program.graph_signature.input_specs if _is_input(each)]
    return [(arg.name, values[arg.name]) for arg in specs if _is_tensor(arg)]


def _dims(value: Any, shapes: Shapes) -> list[int | str]:
    """Sizes, and the names of those that are open; an expression of known sizes is known."""
    known = {name: sizes[0] for name, sizes in shapes.items() if len(sizes) == 1}
    dims = list[int | str]()
    for n in value.shape:
        if isinstance(n, int):
            dims.append(n)
            continue
        expression = n.node.expr
        derived = expression.subs({s: known.get(str(s), s) for s in expression.free_symbols})
        plain = expression.is_Symbol or derived.free_symbols
        dims.append(str(expression) if plain else int(derived))
    return dims


def _require_in_range(
    spec: str, program: Any, opened: Sequence[Open], found: dict[str, list[int]]
) -> None:
    """Refuse sizes that the program was not exported for.

    Raises:
        InputError: If a size is out of its dimension's range.
    """
    ranges = {str(symbol): between for symbol, between in program.range_constraints.items()}
    for name, dims in opened:
        for n, size in zip(dims or (), found[name], strict=True):
            if n in ranges and not ranges[n].lower <= size <= ranges[n].upper:
                raise InputError(
                    f"{spec} was exported for {n} from {ranges[n].lower} to {ranges[n].upper}, "
                    f"got {size}"
                )


def _of_tensors(
    program: Any, given: Sequence[tuple[str, Any]], shapes: dict[str, list[int]]
) -> Any:
    """A program of tensors of fixed shapes, one after the other, as TVM takes them."""
    import torch

    example = [torch.zeros(shapes[name], dtype=value.dtype) for name, value in given]
    return torch.export.export(of_leaves(program), tuple(example))


def _lacking(program: Any) -> Iterator[tuple[str, str]]:
    """Name and place of each operator that TVM's importer does not have."""
    from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

    there = ExportedProgramImporter().convert_map
    for node in program.graph.nodes:
        name = node.target.__name__ if node.op == "call_function" else ""
        if name and name not in there:
            stack = list((node.meta.get("nn_module_stack") or {}).values())
            inside = str(stack[-1][0]) if stack else ""
            yield name, f"{node.name} of {inside}" if inside else node.name


def _require_stateless(spec: str, program: Any) -> None:
    """Refuse a program that a call changes: TVM's keeps nothing from one call to the next.

    Raises:
        InputError: If it writes to a buffer or to an input.
    """
    signature = program.graph_signature
    changed = [f"the buffer {name}" for name in signature.buffers_to_mutate.values()]
    changed += [f"the input {name}" for name in signature.user_inputs_to_mutate.values()]
    if changed:
        raise InputError(
            f"{spec} keeps state: it writes to {', '.join(changed)}, and a compiled network keeps "
            "nothing between calls; take the state as an input and return what becomes of it"
        )
