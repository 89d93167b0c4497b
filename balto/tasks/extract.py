"""Networks, model files and operators to tasks; identical ones are merged. Runs in a worker.

A main process never imports TVM: it calls `balto.tasks.extract_tasks`, which starts a worker.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError
from balto.tasks import operators
from balto.tasks.devices import device_name, resolve
from balto.tasks.networks import load_library
from balto.tasks.pipeline import imported, prepared, tasks_of
from balto.tasks.shapes import Shapes, require_known
from balto.workers.tvm_setup import import_tvm


@dataclass(frozen=True)
class Extracted:
    """The tasks of some networks and operators.

    Attributes:
        tasks: in the order they were found; weights are sums over all networks.
        left_out: ``(name, reason)`` of what cannot be a task.
        notes: a line for each thing that was not possible, such as another layout.
    """

    tasks: list[Task]
    left_out: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def and_own(self, tasks: Sequence[Task]) -> Extracted:
        """These, and tasks of somebody's own after them.

        Args:
            tasks: with their modules.

        Returns:
            All of them.

        Raises:
            InputError: If two tasks have one name, or are for different targets.
        """
        every = [*self.tasks, *tasks]
        counts = Counter(task.name for task in every)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise InputError(f"expected tasks of different names, got {twice[0]} twice")
        if others := [task for task in every if task.target != every[0].target]:
            raise InputError(
                f"expected tasks of one target, {every[0].name} is for {every[0].target} and "
                f"{others[0].name} for {others[0].target}"
            )
        return replace(self, tasks=every)


def extract_in_worker(
    networks: Sequence[str],
    operator_specs: Sequence[str],
    target: Target,
    device: str | None,
    own_layout: bool,
    shapes: Shapes,
) -> Extracted:
    """Build the tasks of all `networks`, then of all operators.

    Args:
        networks: names or paths of model files.
        operator_specs: as `balto.tasks.operators.parse` takes them.
        target: as `balto.tasks.devices.resolve` takes it.
        device: name of the device; None to ask this machine.
        own_layout: of networks, in the place of the one that suits the target.
        shapes: sizes of dimensions that the files leave open.

    Raises:
        InputError: If a network, file, operator or target is unknown, or TVM cannot read it.
    """
    for spec in networks:
        load_library(spec)
    try:
        import_tvm(target)
    except ImportError as error:
        raise InputError(f"TVM refuses the target {target}: {error}") from error
    target = resolve(target)
    tasks = Merged(target, device or device_name(target))
    notes, openable = list[str](), list[str]()
    for spec in networks:
        read = imported(spec, shapes)
        openable += read.openable
        made = prepared(read.module, target, own_layout)
        notes += [f"{spec}: {note}" for note in [*read.notes, *made.notes]]
        tasks.add_all(tasks_of(made.fused, target))
    require_known(shapes, openable, ", ".join(networks) or "an operator")
    for spec in operator_specs:
        name, args = operators.parse(spec)
        try:
            task = operators.module(name, args)
        except Exception as error:
            raise InputError(f"TVM cannot build the operator {spec}: {error}") from error
        tasks.add(name, args, 1, task)
    return Extracted(list(tasks.tasks.values()), tasks.left_out, notes)


class Merged:
    """Tasks by structure; an identical one adds its weight.

    Attributes:
        tasks: by the structural hash of their modules.
        left_out: ``(name, reason)`` of what cannot be a task.
    """

    def __init__(self, target: Target, device: str) -> None:
        self.target, self.device = target, device
        self.tasks: dict[int, Task] = {}
        self.left_out: list[tuple[str, str]] = []
        self._names: dict[str, int] = {}

    def add_all(self, modules: Iterable[tuple[str, int, Any]]) -> None:
        """Add what `balto.tasks.pipeline.tasks_of` found in a network."""
        for name, weight, module in modules:
            self.add(_family(name), shapes_of(module), weight, module)

    def add(self, op: str, args: list[Any] | None, weight: int, module: Any) -> None:
        """Add one; `args` is None where a shape is not constant."""
        import tvm
        import tvm_ffi
        from tvm.s_tir.analysis import estimate_tir_flops

        if args is None:
            self.left_out.append((op, "its arguments are not all arrays of constant shapes"))
            return
        label = f"{op}_{_label(args)}"
        flop = float(estimate_tir_flops(module))
        if flop == 0:
            self.left_out.append((label, "moves data only, computes nothing"))
            return
        key = tvm_ffi.structural_hash(module)
        if key in self.tasks:
            known = self.tasks[key]
            self.tasks[key] = replace(known, weight=known.weight + weight)
            return
        count = self._names[label] = self._names.get(label, 0) + 1
        self.tasks[key] = Task(
            name=label if count == 1 else f"{label}_{count}",
            op=op,
            args=json.dumps(args),
            weight=weight,
            target=self.target,
            device=self.device,
            flop=flop,
            module=tvm.ir.save_json(module),
        )


def _family(name: str) -> str:
    """``fused_conv2d22_add13_relu10`` is ``conv2d_add_relu``: TVM numbers what it fuses."""
    words = name.removeprefix("fused_").replace("_tir_", "_").split("_")
    return "_".join(re.sub(r"^(conv\dd|pool\dd|[a-z]+?)\d*$", r"\1", word) for word in words)


def _label(args: Sequence[Any]) -> str:
    """Shapes for a name: ``1x64x56x56,64x64x3x3`` or ``128x128x512``; the output is left out."""
    if args and isinstance(args[0], list):
        return ",".join("x".join(map(str, shape)) or "scalar" for shape in args[:-1][:2])
    return "x".join(map(str, args))


def shapes_of(module: Any) -> list[list[int]] | None:
    """Shapes of the inputs, then of the output; None where one is not constant."""
    shapes = []
    for parameter in module["main"].params:
        try:
            shapes.append([int(n) for n in parameter.shape])
        except (TypeError, AttributeError):  # it depends on a number, or is none of a buffer
            return None
    return shapes
