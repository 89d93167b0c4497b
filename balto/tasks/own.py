"""Anybody's own computation as a task. Needs TVM in this process, as whoever has a module does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from balto.data.files import as_path
from balto.data.target import LLVM, Target
from balto.data.task import Task
from balto.errors import InputError
from balto.tasks.devices import device_name, resolve
from balto.tasks.extract import Extracted, Merged, shapes_of
from balto.tasks.files import read_tasks, write_tasks
from balto.text import one_line

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
        InputError: If `module` is no such module or is scheduled, a shape is not constant, it
            computes nothing, `name` is no word, or there is no such target.

    Examples:
        >>> from tvm import te
        >>> a = te.placeholder((64, 32), name="a")
        >>> b = te.compute((64, 32), lambda i, j: 2 * a[i, j] + 1, name="b")
        >>> task = balto.task_of(te.create_prim_func([a, b]), name="scale")
        >>> task.name, task.flop
        ('scale_64x32', 4096.0)
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"expected a name of letters, digits and _, got {name!r}")
    target = resolve(Target.of(target))
    found = Merged(target, device or device_name(target))
    own = _as_module(module)
    _require_unscheduled(own)
    try:
        found.add(name, shapes_of(own), 1, own)
    except Exception as error:  # of TVM, which counts what it computes
        raise InputError(
            f"TVM cannot make a task of {name}: {one_line(error)}; expected arrays of constant "
            "shapes as arguments, and loops of constant extents"
        ) from error
    if found.left_out:
        raise InputError(f"expected a computation that can be a task; {found.left_out[0][1]}")
    [task] = found.tasks.values()
    return task


def write_task_file(path: str | Path, tasks: Sequence[Task]) -> None:
    """Write tasks to a file that ``--tasks`` of the commands reads.

    Args:
        path: of the file, which is replaced.
        tasks: with their modules, each with a name of its own.

    Raises:
        InputError: If a task has no module, two have one name, or they are for different targets.
        StorageError: If the file cannot be written.

    Examples:
        >>> balto.write_task_file("tasks.json", balto.extract_tasks([], ["matmul:8x8x8"]).tasks)
        >>> [task.name for task in balto.read_task_file("tasks.json")]
        ['matmul_8x8x8']
    """
    for task in tasks:
        task.require_module()
    write_tasks(as_path(path), Extracted([]).and_own(tasks))


def read_task_file(path: str | Path) -> list[Task]:
    """Read what `write_task_file` wrote.

    Args:
        path: of the file; ``tasks.json`` of a campaign or a tuning is one too.

    Returns:
        The tasks, with their modules.

    Raises:
        CampaignError: If there is no such file, or it is damaged.
    """
    return read_tasks(as_path(path), "write it again with balto.write_task_file").tasks


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


def _require_unscheduled(module: Any) -> None:
    """Refuse what has no blocks to schedule, or whose loops are scheduled already.

    Raises:
        InputError: If it is so.
    """
    import tvm
    from tvm.tirx import ForKind

    schedule = tvm.s_tir.Schedule(module)
    try:
        blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    except tvm.s_tir.ScheduleError as error:
        raise InputError(
            "expected a computation of blocks that can be scheduled, as te.create_prim_func and "
            "T.prim_func(s_tir=True) make them, got one without blocks"
        ) from error
    loops = [schedule.get(loop) for block in blocks for loop in schedule.get_loops(block)]
    if any(loop.kind != ForKind.SERIAL for loop in loops):
        raise InputError(
            "expected a computation that is not scheduled yet, got one whose loops are parallel, "
            "vectorized, unrolled or bound to threads"
        )
