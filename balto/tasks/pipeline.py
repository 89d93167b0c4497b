"""What a network passes through from its file to its tasks, in this order. Runs in a worker.

1. `imported`: torch modules go through ``torch.export``, ONNX files through TVM's own front end;
   both end as a Relax function whose weights are inputs (`read_torch`, `read_onnx`).
2. It becomes fewer operators that compute the same (`simplify`).
3. On CPUs its convolutions come in the layout that suits (`layouts`),
4. and its group normalisations and exponentials become what can be searched (`group_norm`) and
   what vectors compute (`fast_math`).
5. It is lowered: what depends on weights alone (a weight's transpose, say) is lifted out, since a
   deployment computes it once; the rest becomes fused functions.
6. `tasks_of` finds the tasks among these.

`prepared` does 2 to 5: what is tuned, what a campaign measures and what is compiled come from it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from balto.data.target import Target
from balto.errors import InputError
from balto.tasks import layouts
from balto.tasks.fast_math import vectorised
from balto.tasks.group_norm import searchable
from balto.tasks.networks import NETWORKS, check, is_onnx
from balto.tasks.read_onnx import read_onnx
from balto.tasks.read_torch import read_torch
from balto.tasks.shapes import Shapes
from balto.tasks.simplify import simplified
from balto.text import last_line
from balto.workers.tvm_setup import tvm_target


@dataclass(frozen=True)
class Prepared:
    """A network in fused functions.

    Attributes:
        fused: a module whose ``main`` takes the inputs, then what `transform` makes of the weights.
        transform: a module whose ``main_transform_params`` makes it; of no functions where the
            weights stay as they are.
        layout: of the convolutions, NHWC or NCHW.
        notes: lines for people about what was not possible.
    """

    fused: Any
    transform: Any
    layout: str = "NCHW"
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Imported:
    """A network as TVM has it.

    Attributes:
        module: a Relax module whose ``main`` takes the inputs, then the weights.
        weights: TVM's tensors, in the order in which ``main`` takes them.
        names: of the inputs, as the file has them.
        openable: names of dimensions and inputs that shapes can be given for.
        notes: lines for people about what was not possible.
    """

    module: Any
    weights: list[Any]
    names: list[str]
    openable: list[str]
    notes: Sequence[str] = ()


def imported(spec: str, shapes: Shapes) -> Imported:
    """Read a network.

    Args:
        spec: a built-in network's name, or the path of a model file.
        shapes: sizes of dimensions that the file leaves open.

    Raises:
        InputError: If the model file cannot be read, has an operator that TVM does not know, or
            leaves a dimension open that `shapes` does not give.
    """
    from tvm import relax

    check(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn about their own internals
        try:
            read = read_onnx if is_onnx(spec) else read_torch
            module, *about = read(spec, shapes)
            module, weights = relax.frontend.detach_params(module)
        except InputError:
            raise
        except Exception as error:
            if spec in NETWORKS or isinstance(error, InputError):
                raise
            reason = f"{type(error).__name__}: {last_line(error)}"
            raise InputError(f"cannot read {spec} as a model: {reason}") from error
    return Imported(module, list(weights.get("main", [])), *about)


def prepared(module: Any, target: Target, own_layout: bool = False) -> Prepared:
    """A network as it suits the target, or as far as TVM goes along; notes say where it does not.

    Args:
        module: of `imported`.
        target: of the tasks.
        own_layout: the network keeps its layout and its exponentials, as on a GPU.
    """
    notes = list[str]()
    try:
        simple = simplified(module)
        if own_layout or not target.on_cpu:
            return Prepared(*_lowered(simple, target))
        if not layouts.in_odd_groups(simple):
            try:
                return _in_layout("NHWC", simple, target, layouts.channels_last)
            except Exception as error:  # TVM's pass refuses some networks by an internal check
                notes.append(f"convolutions in NCHW: TVM cannot change it: {last_line(error)}")
        return replace(_in_layout("NCHW", simple, target), notes=notes)
    except Exception as error:
        notes.append(f"its operators stay as they are: TVM cannot change them: {last_line(error)}")
    return Prepared(*_lowered(module, target), notes=notes)


def _in_layout(layout: str, module: Any, target: Target, *passes: Callable[[Any], Any]) -> Prepared:
    """A network on a CPU in a layout, to which passes bring it."""
    fused, transform = _lowered(module, target, [*passes, searchable, vectorised])
    if passes:
        layouts.require_lowered(fused)
    return Prepared(layouts.weights_to_lay_out(fused), transform, layout)


def _lowered(
    module: Any, target: Target, passes: Sequence[Callable[[Any], Any]] = ()
) -> tuple[Any, Any]:
    """The module in fused functions, and what depends on weights alone, in a module of its own.

    Args:
        module: of Relax operators.
        target: of the functions.
        passes: what is done to the operators first.
    """
    import tvm
    from tvm import relax

    with tvm_target(target):
        module = relax.transform.DecomposeOpsForInference()(module)
        for each in passes:
            module = each(module)
        module = relax.transform.LiftTransformParams()(module)
        parts: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        for var, function in module.functions.items():
            parts[var.name_hint.endswith("transform_params")][var] = function
        return relax.get_pipeline("zero")(tvm.IRModule(parts[0])), tvm.IRModule(parts[1])


def tasks_of(fused: Any, target: Target) -> list[tuple[str, int, Any]]:
    """Name, weight and module of each task of what `prepared` made."""
    from tvm.s_tir import meta_schedule as ms

    return [
        (str(task.task_name), int(task.weight), task.dispatched[0])
        for task in ms.relax_integration.extract_tasks(fused, tvm_target(target))
    ]
