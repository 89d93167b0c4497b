"""From a network to its tasks, and from tuned tasks to one module. Runs in a worker with TVM.

What is compiled has exactly the functions that the tasks were made of: both come from `_prepared`.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from balto.data.target import LLVM, Target
from balto.data.task import Task
from balto.deploy.nan import nan_kept
from balto.deploy.tolerance import Tolerance, tolerance_of
from balto.errors import InputError
from balto.tasks.devices import device_name, resolve
from balto.tasks.extract import Merged
from balto.tasks.networks import load_library
from balto.tasks.pipeline import Imported, Prepared, imported, prepared, tasks_of
from balto.tasks.rewrite import inputs
from balto.tasks.shapes import Shapes, require_known
from balto.workers.tvm_setup import import_tvm, tvm_target

#: ``(name, shape, dtype)`` of an input or output.
Tensor = tuple[str, list[int], str]
#: Shapes that can be looked up by.
_Key = tuple[tuple[str, tuple[int, ...]], ...]
_NONE: Shapes = MappingProxyType({})
_TRANSFORM = "main_transform_params"


@dataclass(frozen=True)
class Network:
    """What tuning must know of a network.

    Attributes:
        tasks: with weights, in the order they were found; weight times FLOP is the network's.
        left_out: ``(name, reason)`` of its functions that are no tasks; they are never tuned.
        inputs: in order, by the names that the file has for them.
        outputs: in order, of no names; None in a shape where only the data decide.
        layout: of its convolutions, NHWC or NCHW; empty where it has none.
        notes: lines for people about what was not possible.
        shapes: that were given for what the file leaves open.
        fingerprint: changes with the network's functions and weights.
    """

    tasks: list[Task]
    left_out: list[tuple[str, str]]
    inputs: list[Tensor]
    outputs: list[tuple[str, list[int | None], str]]
    layout: str
    notes: list[str]
    shapes: Shapes
    fingerprint: str


def read(spec: str, target: Target, shapes: Shapes = _NONE) -> Network:
    """Import a network, and find its tasks.

    Args:
        spec: a built-in network's name, or the path of a model file.
        target: what to compile for; what it leaves open is asked of this machine.
        shapes: sizes of dimensions that the file leaves open.

    Raises:
        InputError: If the file or the target is not what was expected, or a shape is missing.
    """
    _load(spec, target)
    target = resolve(target)
    key = _key(shapes)
    source = _imported(spec, key)
    require_known(shapes, source.openable, spec)
    made, _ = _prepared(spec, target, key, False)
    found = _tasks(spec, target, key)
    main = made.fused["main"]
    convolutions = any("conv" in task.op for task in found.tasks.values())
    return Network(
        tasks=list(found.tasks.values()),
        left_out=found.left_out,
        inputs=[
            (name, [int(n) for n in p.ty.shape], str(p.ty.dtype))
            for name, p in zip(source.names, main.params[: inputs(main)], strict=True)
        ],
        outputs=[("", *_output(each)) for each in _flat(main.ret_ty)],
        layout=made.layout if convolutions else "",
        notes=[*source.notes, *made.notes],
        shapes=dict(shapes),
        fingerprint=_fingerprint(found, [*source.weights, *_constants(main)]),
    )


def _fingerprint(found: Merged, weights: Sequence[Any]) -> str:
    """Of a network's functions and weights."""
    functions = sorted(f"{key} {task.weight}" for key, task in found.tasks.items())
    checksum = zlib.crc32(b"")
    for each in weights:
        checksum = zlib.crc32(np.ascontiguousarray(each.numpy()).view(np.uint8).data, checksum)
    return f"{zlib.crc32(' '.join(functions).encode()):08x}{checksum:08x}"


def compile_network(
    spec: str,
    target: Target,
    traces: Mapping[str, str],
    path: Path,
    suited: bool = True,
    shapes: Shapes = _NONE,
) -> None:
    """Compile a network to a shared library that TVM's virtual machine runs; weights are in it.

    Args:
        spec: as `read` took it.
        target: as `read` resolved it.
        traces: of each task that has a program of its own; the others are compiled as they are.
        path: of the library.
        suited: in the layout that suits the target, as the tasks are; otherwise in its own.
        shapes: as `read` took them.
    """
    _load(spec, target)
    from tvm import relax

    key = _key(shapes)
    made, weights = _prepared(spec, target, key, not suited)
    fused = made.fused
    with tvm_target(target):
        fused = _scheduled(fused, _tasks(spec, target, key).tasks if traces else {}, traces)
        fused = _weights_laid_out(nan_kept(fused))
        fused = relax.transform.LiftTransformParams()(fused)
        fused = relax.transform.FoldConstant()(fused)  # of weights that the file has as constants
        main, transform = _apart(fused)
        if transform is not None:
            weights = _run(transform, weights, target)
        relax.build(with_weights(main, weights), target=tvm_target(target)).export_library(
            str(path)
        )


def network_tolerance(spec: str, target: Target, shapes: Shapes = _NONE) -> Tolerance:
    """How far a network's outputs may be from the reference's."""
    return tolerance_of(_prepared(spec, target, _key(shapes), False)[0].fused)


def with_weights(module: Any, weights: Sequence[Any]) -> Any:
    """A module whose ``main`` has its weights in it, and takes the inputs alone."""
    from tvm import relax

    main = module["main"]
    # By variable: TVM gives several the same name.
    bound = dict(zip(main.params[inputs(main) :], weights, strict=True))
    return relax.transform.BindParams("main", bound)(module)


def _scheduled(fused: Any, tasks: Mapping[int, Task], traces: Mapping[str, str]) -> Any:
    """The module with the programs of traces in the place of its functions."""
    import tvm
    import tvm_ffi
    from tvm.s_tir.meta_schedule.tune_context import _normalize_mod
    from tvm.tirx import PrimFunc

    from balto.programs.schedule import schedule

    before, fused = fused, tvm.IRModule(dict(fused.functions.items()))  # it is kept for later
    for var, function in before.functions.items():
        if not isinstance(function, PrimFunc):
            continue
        task = tasks.get(tvm_ffi.structural_hash(_normalize_mod(function)))
        if task is not None and task.name in traces:
            program = schedule(task.require_module(), traces[task.name]).mod["main"]
            program = program.without_attr("global_symbol").with_attr("tirx.is_scheduled", True)
            fused.update_func(var, program)
    return fused


def _weights_laid_out(fused: Any) -> Any:
    """The module with what lays weights out for a program in a function of its own.

    TVM's pass sees scheduled programs alone: it fails on some others, such as a scatter's.
    """
    import tvm
    from tvm import relax
    from tvm.tirx import PrimFunc

    functions = dict(fused.functions.items())
    others = {
        var: function
        for var, function in functions.items()
        if isinstance(function, PrimFunc)
        and not (function.attrs and "tirx.is_scheduled" in function.attrs)
    }
    kept = tvm.IRModule({var: f for var, f in functions.items() if var not in others})
    split = relax.transform.SplitLayoutRewritePreproc()(kept)
    return tvm.IRModule({**dict(split.functions.items()), **others})


def _apart(fused: Any) -> tuple[Any, Any]:
    """``main`` with what it calls; and what prepares the weights for it, or None."""
    import tvm
    from tvm import relax

    functions = {var.name_hint: (var, function) for var, function in fused.functions.items()}
    parts: list[Any] = []
    for name, other in (("main", _TRANSFORM), (_TRANSFORM, "main")):
        if name not in functions:
            parts.append(None)
            continue
        kept = tvm.IRModule({var: f for each, (var, f) in functions.items() if each != other})
        parts.append(relax.transform.DeadCodeElimination([name])(kept))
    return parts[0], parts[1]


def _constants(main: Any) -> list[Any]:
    """Tensors in the function itself: weights that the file has as nodes, not as such."""
    from tvm.ir import GenericConst
    from tvm.relax.analysis import post_order_visit

    found: list[Any] = []

    def visit(expression: Any) -> None:
        if isinstance(expression, GenericConst):
            found.append(expression.value)

    post_order_visit(main, visit)
    return found


def _run(module: Any, weights: Sequence[Any], target: Target) -> list[Any]:
    """What a module's ``main_transform_params`` makes of weights, on this machine's processor."""
    import tvm
    from tvm import relax

    here = target.on_cpu and target.mcpu == resolve(LLVM).mcpu
    host = tvm_target(target if here else LLVM)
    with host:
        machine = relax.VirtualMachine(relax.build(module, target=host), tvm.cpu())
    return list(machine[_TRANSFORM](list(weights)))


def _load(spec: str, target: Target) -> None:
    load_library(spec)
    try:
        import_tvm(target)
    except ImportError as error:
        raise InputError(f"TVM refuses the target {target}: {error}") from error


def _key(shapes: Shapes) -> _Key:
    return tuple((name, tuple(shapes[name])) for name in sorted(shapes))


@functools.lru_cache(maxsize=1)
def _imported(spec: str, shapes: _Key) -> Imported:
    """`imported`, once a process."""
    return imported(spec, dict(shapes))


@functools.lru_cache(maxsize=2)
def _prepared(
    spec: str, target: Target, shapes: _Key, own_layout: bool
) -> tuple[Prepared, list[Any]]:
    """`prepared`, once a process; and the weights as its ``main`` takes them."""
    source = _imported(spec, shapes)
    made = prepared(source.module, target, own_layout)
    if not made.transform.functions:
        return made, source.weights
    return made, _run(made.transform, source.weights, target)


@functools.lru_cache(maxsize=1)
def _tasks(spec: str, target: Target, shapes: _Key) -> Merged:
    found = Merged(target, device_name(target))
    found.add_all(tasks_of(_prepared(spec, target, shapes, False)[0].fused, target))
    return found


def _output(kind: Any) -> tuple[list[int | None], str]:
    """Shape and type; None for a number that only the data decide."""
    from tvm.tirx import IntImm

    dims = kind.shape if kind.shape is not None else [None] * max(kind.ndim, 0)
    return [int(n) if isinstance(n, IntImm) else None for n in dims], str(kind.dtype)


def _flat(kind: Any) -> list[Any]:
    """Tensor types of a function's result."""
    fields = getattr(kind, "fields", None)
    return [kind] if fields is None else [leaf for field in fields for leaf in _flat(field)]
