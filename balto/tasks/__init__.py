"""From a network, a file or an operator to optimisation tasks (paper 2.2, 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from balto.errors import InputError
from balto.measure.worker import Worker, WorkerDied, WorkerRaised, WorkerTimeout
from balto.tasks import graphs, operators
from balto.tasks.target import parse as parse_target
from balto.tasks.task import Task

if TYPE_CHECKING:
    from balto.tasks.extract import Extracted

__all__ = ["Task", "check", "extract_tasks"]

#: Seconds that the conversion of all networks may take.
DEADLINE_S = 1800.0


def check(networks: Sequence[str], operator_specs: Sequence[str]) -> None:
    """Refuse what cannot be right, before anything is started.

    Raises:
        InputError: no network or operator, or one that is unknown or badly written.
    """
    if not networks and not operator_specs:
        raise InputError("expected at least one network or operator, got none")
    for spec in networks:
        graphs.check(spec)
    for spec in operator_specs:
        operators.parse(spec)


def extract_tasks(
    networks: Sequence[str] = (),
    operator_specs: Sequence[str] = (),
    target: str = "llvm",
    device: str = "",
    worker: Worker | None = None,
) -> Extracted:
    """The tasks of networks and operators for a target, identical ones merged.

    Args:
        networks: names (`balto.tasks.graphs.NETWORKS`) or paths of ``.onnx`` and ``.pt2`` files.
        operator_specs: operators with shapes, such as ``matmul:1024x1024x1024``.
        target: ``llvm``, ``cuda`` or the JSON of a TVM target.
        device: name of the device the target stands for; empty for this machine.
        worker: a warm worker to use; a new one is started and stopped without it.

    Raises:
        InputError: something is not what was expected, or TVM crashes on it.
    """
    check(networks, operator_specs)
    arguments = (list(networks), list(operator_specs), parse_target(target), device)
    own = worker or Worker()
    try:
        extracted: Extracted = own.call(
            "balto.tasks.extract:extract_in_worker", *arguments, deadline_s=DEADLINE_S
        )
        return extracted
    except WorkerRaised as error:
        lines = str(error).splitlines()
        if error.kind == "InputError":
            raise InputError(lines[0]) from error
        raise InputError(
            f"TVM cannot make tasks of {', '.join([*networks, *operator_specs])}: "
            f"{error.kind}: {lines[0] if lines else ''}"
        ) from error
    except (WorkerDied, WorkerTimeout) as error:
        raise InputError(
            f"TVM did not survive {', '.join([*networks, *operator_specs])}: {error}"
        ) from error
    finally:
        if worker is None:
            own.close()
