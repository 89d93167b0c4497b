"""From a network to its tasks, and from tuned tasks to one module. Runs in a worker with TVM.

What is compiled has exactly the functions that the tasks were made of: both come from `_prepared`.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balto.data.target import LLVM, Target
from balto.data.task import Task
from balto.deploy.nan import nan_kept
from balto.deploy.tolerance import Tolerance, tolerance_of
from balto.errors import InputError
from balto.tasks import graphs, layouts
from balto.tasks.devices import device_name, resolve
from balto.tasks.extract import Merged
from balto.tasks.rewrite import inputs
from balto.text import one_line
from balto.workers.tvm_setup import import_tvm, tvm_target

#: ``(name, shape, dtype)`` of an input or output.
Tensor = tuple[str, list[int], str]
_TRANSFORM = "main_transform_params"


@dataclass(frozen=True)
class Network:
    """What tuning must know of a network.

    Attributes:
        tasks: with weights, in the order they were found; weight times FLOP is the network's.
        left_out: ``(name, reason)`` of its functions that are no tasks; they are never tuned.
        inputs: in order.
        outputs: in order; of no names.
        layout: of its convolutions, and why TVM could not change it; empty where it has none.
        fingerprint: changes with the network's functions and weights.
    """

    tasks: list[Task]
    left_out: list[tuple[str, str]]
    inputs: list[Tensor]
    outputs: list[Tensor]
    layout: str
    fingerprint: str


def read(spec: str, target: Target) -> Network:
    """Import a network, and find its tasks.

    Raises:
        InputError: the file or the target is not what was expected, or a shape is not constant.
    """
    _load(spec, target)
    target = resolve(target)
    _require_static(spec)
    fused, _, layout = _prepared(spec, target, suited=True)
    found = _tasks(spec, target)
    main = fused["main"]
    count = inputs(main)
    weights = zlib.crc32(b"")
    for each in [*graphs_of(spec)[1], *_constants(main)]:
        weights = zlib.crc32(each.numpy().tobytes(), weights)
    functions = sorted(f"{key} {task.weight}" for key, task in found.tasks.items())
    return Network(
        tasks=list(found.tasks.values()),
        left_out=found.left_out,
        inputs=[_tensor(p.name, p.ty) for p in main.params[:count]],
        outputs=[_tensor("", each) for each in _flat(main.ret_ty)],
        layout=layout if any("conv" in task.op for task in found.tasks.values()) else "",
        fingerprint=f"{zlib.crc32(' '.join(functions).encode()):08x}{weights:08x}",
    )


def compile_network(
    spec: str, target: Target, traces: Mapping[str, str], path: Path, suited: bool = True
) -> None:
    """Compile a network to a shared library that TVM's virtual machine runs; weights are in it.

    Args:
        spec: as `read` took it.
        target: as `read` resolved it.
        traces: of each task that has a program of its own; the others are compiled as they are.
        path: of the library.
        suited: in the layout that suits the target, as the tasks are; otherwise in its own.
    """
    _load(spec, target)
    from tvm import relax

    fused, weights, _ = _prepared(spec, target, suited)
    with tvm_target(target):
        fused = _scheduled(fused, _tasks(spec, target).tasks if traces else {}, traces)
        fused = relax.transform.SplitLayoutRewritePreproc()(nan_kept(fused))
        fused = relax.transform.LiftTransformParams()(fused)
        fused = relax.transform.FoldConstant()(fused)  # of weights that the file has as constants
        main, transform = _apart(fused)
        if transform is not None:
            weights = _run(transform, weights, target)
        relax.build(with_weights(main, weights), target=tvm_target(target)).export_library(
            str(path)
        )


def network_tolerance(spec: str, target: Target) -> Tolerance:
    """How far a network's outputs may be from the reference's."""
    return tolerance_of(_prepared(spec, target, suited=True)[0])


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

    host = tvm_target(target if target.on_cpu else LLVM)
    with host:
        machine = relax.VirtualMachine(relax.build(module, target=host), tvm.cpu())
    return list(machine[_TRANSFORM](list(weights)))


def _load(spec: str, target: Target) -> None:
    graphs.load_library(spec)
    try:
        import_tvm(target)
    except ImportError as error:
        raise InputError(f"TVM refuses the target {target}: {error}") from error


@functools.lru_cache(maxsize=1)
def graphs_of(spec: str) -> tuple[Any, list[Any]]:
    """`balto.tasks.graphs.imported`, once a process."""
    return graphs.imported(spec)


@functools.lru_cache(maxsize=2)
def _prepared(spec: str, target: Target, suited: bool) -> tuple[Any, list[Any], str]:
    """The fused network, its weights as it takes them, and the layout of its convolutions."""
    module, weights = graphs_of(spec)
    if suited:
        fused, transform, layout = layouts.suited(module, target)
    else:
        (fused, transform), layout = graphs.lowered(module, tvm_target(target)), "NCHW"
    if transform.functions:
        weights = _run(transform, weights, target)
    return fused, weights, layout


@functools.lru_cache(maxsize=1)
def _tasks(spec: str, target: Target) -> Merged:
    fused = _prepared(spec, target, suited=True)[0]
    found = Merged(target, device_name(target))
    found.add_all(graphs.tasks_of(fused, tvm_target(target)))
    return found


def _require_static(spec: str) -> None:
    """Refuse a network whose inputs have no constant shape.

    Raises:
        InputError: it is one.
    """
    for parameter in graphs_of(spec)[0]["main"].params:
        try:
            [int(n) for n in parameter.ty.shape]
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"expected constant shapes, the input {parameter.name} of {spec} is "
                f"{one_line(parameter.ty)}; export the network for the shape that it will run with"
            ) from error


def _tensor(name: str, kind: Any) -> Tensor:
    return name, [int(n) for n in kind.shape], str(kind.dtype)


def _flat(kind: Any) -> list[Any]:
    """Tensor types of a function's result."""
    fields = getattr(kind, "fields", None)
    return [kind] if fields is None else [leaf for field in fields for leaf in _flat(field)]
