"""Lines of a MetaSchedule database: a task, a trace and seconds, each checked by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.outcome import Outcome
from balto.data.plausible import LARGEST_FEATURE, shape_problem
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError
from balto.importers.ansor import parse_target
from balto.importers.costs import outcome_of_costs
from balto.importers.imported import Names, SkipLine, reading_line, writable
from balto.importers.lines import Members
from balto.programs import decisions

#: Instructions that TVM has renamed since.
RENAMED = {"GetBlock": "GetSBlock"}
#: What TVM adds to a target itself.
_IMPLIED_KEYS = (["cpu"], ["cuda", "gpu"])


def fields(line: bytes) -> tuple[int, list[Any], Any, Any, Any]:
    """Workload, trace, seconds, target and arguments of a line.

    Raises:
        SkipLine: it is no record.
    """
    try:
        workload, (trace, seconds, target, arguments) = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        raise SkipLine("no whole record") from None
    if type(workload) is not int or workload < 0 or not isinstance(trace, list):
        raise SkipLine("no whole record")
    if any(map(shape_problem, _shapes(arguments))):
        raise SkipLine("a shape that cannot be")
    return workload, trace, seconds, target, arguments


def key(line: bytes, path: Path) -> bytes:  # noqa: ARG001
    """What lines of one task share: the workload and the target.

    Raises:
        SkipLine: If it is no record.
    """
    workload, _, _, target, _ = fields(line)
    text = f"{workload} {json.dumps(target, sort_keys=True)}"
    return blake2b(text.encode(), digest_size=16).digest()


def read_record(line: bytes) -> tuple[int, str, Outcome]:
    """Workload, trace in today's form, and outcome of a line.

    Raises:
        SkipLine: it is no measured program.
    """
    with reading_line():
        workload, trace, seconds, _, _ = fields(line)
        if seconds is None:
            raise SkipLine("not measured")
        return workload, normal_trace(trace), outcome_of_costs(seconds)


def normal_trace(trace: list[Any]) -> str:
    """The trace with the names that instructions have today, in one form.

    Raises:
        SkipLine: it is none.
    """
    try:
        instructions, decided = trace
        if not isinstance(decided, list) or not all(map(_is_instruction, instructions)):
            raise SkipLine("a trace that makes no sense")
        renamed = [[RENAMED.get(name, name), *rest] for name, *rest in instructions]
        return json.dumps([renamed, decided])
    except (ValueError, TypeError, RecursionError):
        raise SkipLine("a trace that makes no sense") from None


def _is_instruction(said: Any) -> bool:
    """Whether it has a name, inputs, attributes and names of outputs."""
    name, inputs, attributes, outputs = said
    lists = all(isinstance(each, list) for each in (inputs, attributes, outputs))
    return isinstance(name, str) and lists and all(isinstance(out, str) for out in outputs)


def row_of(trace: str) -> NDArray[np.float32]:
    """Features of a trace, `1 x columns`.

    Raises:
        SkipLine: it says what cannot be.
    """
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):  # and not a warning
            row: NDArray[np.float32] = decisions.extract([trace])
    except Exception:  # nothing but the trace was looked at
        raise SkipLine("a trace that makes no sense") from None
    if not (np.abs(row) < LARGEST_FEATURE).all():
        raise SkipLine("a trace that makes no sense")
    return row


def digest(trace: str) -> bytes:
    """What tells programs of one task apart."""
    return blake2b(trace.encode(), digest_size=16).digest()


def traces_of(lines: Members) -> Iterator[tuple[int, str]]:
    """Workload and trace of each measured program."""
    for _, line in lines:
        try:
            workload, trace, _ = read_record(line)
        except SkipLine:
            continue
        yield workload, trace


def task_of(line: bytes, text: str | None, flop: float, device: str | None, names: Names) -> Task:
    """The task of a line.

    Args:
        line: a record.
        text: TVM's JSON of the module; None where it is of no use.
        flop: operations of the module; NaN where unknown.
        device: that measured; None to take what the target says.
        names: those that are taken.

    Raises:
        SkipLine: If its target is none.
    """
    workload, trace, _, said, arguments = fields(line)
    target = _target(said)
    shapes = _shapes(arguments)
    op = _main_block(json.loads(normal_trace(trace))[0])
    label = ",".join("x".join(map(str, shape)) or "scalar" for shape in shapes[:-1][:2])
    by_target = (target.option("model"), target.mcpu, target.option("arch"), target.kind)
    return Task(
        name=names.unique(f"{op}_{label}" if label else f"{op}_{workload}"),
        op=writable(op),
        args=json.dumps(shapes),
        weight=1,
        target=target,
        device=writable(device or next(str(name) for name in by_target if name)),
        flop=flop,
        module=text,
    )


def _target(said: Any) -> Target:
    """A target without what TVM adds itself.

    Raises:
        SkipLine: it is none.
    """
    try:
        if isinstance(said, str):
            return parse_target(said)
        values = {k: v for k, v in said.items() if v not in ("", None)}
        if values.get("keys") in _IMPLIED_KEYS:
            del values["keys"]
        return Target.from_dict(values)
    except (InputError, AttributeError):
        raise SkipLine("a target that is none") from None


def _shapes(arguments: Any) -> list[list[int]]:
    try:
        return [[int(n) for n in shape] for _, _, shape in arguments]
    except (ValueError, TypeError, OverflowError):
        return []


def _main_block(instructions: Sequence[Any]) -> str:
    """Name of the block that is tiled, or of the first one."""
    names = {
        out[0]: str(attributes[0])
        for name, _, attributes, out in instructions
        if name == "GetSBlock" and out and attributes
    }
    tiled = [
        str(inputs[0])
        for name, inputs, attributes, _ in instructions
        if name == "Annotate" and inputs and attributes == ["meta_schedule.tiling_structure"]
    ]
    found = next((names[b] for b in tiled if b in names), next(iter(names.values()), "workload"))
    return re.sub(r"\W", "_", found)[:60] or "workload"
