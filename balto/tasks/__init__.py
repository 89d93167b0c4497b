"""From a network, a file or an operator to optimisation tasks (paper 2.2, 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from balto.arguments import texts
from balto.data.target import LLVM, Target
from balto.data.task import Task
from balto.errors import InputError
from balto.tasks import networks as known
from balto.tasks import operators
from balto.tasks.extract import Extracted
from balto.tasks.shapes import checked
from balto.text import one_line
from balto.workers.calls import call_about
from balto.workers.worker import Worker

__all__ = ["Extracted", "Task", "check", "extract_tasks"]

#: Seconds that the conversion of all networks may take.
DEADLINE_S = 1800.0


def check(networks: Sequence[str], operator_specs: Sequence[str]) -> None:
    """Refuse what cannot be right, before anything is started.

    Args:
        networks: names, or paths of files.
        operator_specs: operators with their shapes.

    Raises:
        InputError: If there is no network and no operator, or one is unknown or badly written.
    """
    if not networks and not operator_specs:
        raise InputError("expected at least one network or operator, got none")
    for spec in networks:
        known.check(spec)
    for spec in operator_specs:
        operators.parse(spec)


def extract_tasks(
    networks: str | Sequence[str] = (),
    operator_specs: str | Sequence[str] = (),
    target: Target | str = LLVM,
    device: str | None = None,
    worker: Worker | None = None,
    *,
    own_layout: bool = False,
    shapes: Mapping[str, Any] | None = None,
) -> Extracted:
    """The tasks of networks and operators for a target, identical ones merged.

    They are those that `balto.tune_network` tunes: on CPUs the convolutions of a network are in
    NHWC, and programs may choose the layout of its weights.

    Args:
        networks: names (`balto.tasks.networks.NETWORKS`) or paths of ``.onnx`` and ``.pt2`` files;
            one, or several.
        operator_specs: operators with shapes, such as ``matmul:1024x1024x1024``; one, or several.
        target: what to compile for, or its name or JSON; what it leaves open is asked of this
            machine.
        device: name of the device the target stands for; None for this machine.
        worker: a warm worker to use; a new one is started and stopped without it.
        shapes: sizes for what the files leave open: of a dimension by its name, ``{"batch": 1}``,
            or of an input, ``{"x": (1, 3, 224, 224)}``.
        own_layout: networks keep their layout, as the older of the recorded pools have them.

    Returns:
        The tasks, with what cannot be one, and why.

    Raises:
        InputError: If a network, operator or target is unknown or cannot be read, or TVM crashes on
            it.
        WorkerError: If the process is killed again and again, or takes too long.

    Examples:
        >>> found = balto.extract_tasks("lenet-5", ["matmul:64x64x64"])
        >>> found.tasks[-1].name, found.tasks[-1].flop
        ('matmul_64x64x64', 524288.0)
    """
    networks = texts("networks", networks)
    operator_specs = texts("operator_specs", operator_specs)
    check(networks, operator_specs)
    wanted = Target.of(target)
    arguments = (list(networks), list(operator_specs), wanted, device, own_layout, checked(shapes))
    given = [*networks, *operator_specs]
    own = worker or Worker()
    try:
        extracted: Extracted = call_about(
            *(", ".join(given), own, "balto.tasks.extract:extract_in_worker", *arguments),
            deadline_s=DEADLINE_S,
        )
    finally:
        if worker is None:
            own.close()
    if not extracted.tasks and not extracted.left_out:
        raise InputError(
            f"TVM finds nothing to optimise in {one_line(', '.join(given))}: it has no operator "
            "that depends on its inputs"
        )
    return extracted
