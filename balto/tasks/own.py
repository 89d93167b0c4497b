"""Anybody's own computation as a task. Needs TVM in this process, as whoever has a module does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from balto.data.target import LLVM, Target
from balto.data.task import Task
from balto.errors import InputError
from balto.tasks.devices import device_name, resolve
from balto.tasks.extract import Extracted, Merged, shapes_of
from balto.tasks.files import read_tasks, write_tasks

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def task_of(
    module: Any, target: Target | str = LLVM, *, name: str = "own", device: str | None = None
) -> Task:
    """A computation of your own as a task, to be tuned, or measured in a campaign.

    Args:
        module: an ``IRModule`` whose only function is a ``PrimFunc`` called ``main``, or a
            ``PrimFunc``; not scheduled yet, with constant shapes, its output last.
        target: what to compile for; what it leaves open is asked of this machine.
        name: of the computation, a word; the shapes are added to it.
        device: name of the device; None for this machine.

    Returns:
        The task, for `tune_operators` and for the ``tasks`` of a campaign's `Config`.

    Raises:
        InputError: If it is no such module, a shape is not constant, it computes nothing, the name
            is no word, or there is no such target.

    Example:
        >>> from tvm.script import tirx as T  # doctest: +SKIP
        >>> task = balto.task_of(my_function, name="scale")  # doctest: +SKIP
        >>> balto.tune_operators([task], "tuned")  # doctest: +SKIP
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"expected a name of letters, digits and _, got {name!r}")
    target = resolve(Target.of(target))
    found = Merged(target, device or device_name(target))
    own = _as_module(module)
    found.add(name, shapes_of(own), 1, own)
    if found.left_out:
        raise InputError(f"expected a computation that can be a task; {found.left_out[0][1]}")
    [task] = found.tasks.values()
    return task


def write_task_file(path: str | Path, tasks: list[Task]) -> None:
    """Write tasks to a file that ``--tasks`` of the commands reads.

    Args:
        path: of the file, which is replaced.
        tasks: with their modules.

    Raises:
        StorageError: If the file cannot be written.
    """
    write_tasks(Path(path), Extracted(list(tasks)))


def read_task_file(path: str | Path) -> list[Task]:
    """Read what `write_task_file` wrote.

    Args:
        path: of the file; ``tasks.json`` of a campaign or a tuning is one too.

    Returns:
        The tasks, with their modules.

    Raises:
        CampaignError: If there is no such file, or it is damaged.
    """
    return read_tasks(Path(path)).tasks


def _as_module(given: Any) -> Any:
    """A module with one ``main``.

    Raises:
        InputError: If it is something else.
    """
    import tvm
    from tvm.tirx import PrimFunc

    if isinstance(given, PrimFunc):
        given = tvm.IRModule({"main": given.with_attr("global_symbol", "main")})
    if not isinstance(given, tvm.IRModule):
        raise InputError(f"expected an IRModule or a PrimFunc, got {type(given).__name__}")
    functions = {var.name_hint: function for var, function in given.functions.items()}
    if list(functions) != ["main"] or not isinstance(functions["main"], PrimFunc):
        raise InputError(
            "expected a module whose only function is a PrimFunc called main, got "
            f"{', '.join(functions) or 'none'}"
        )
    return given
