"""``balto import metaschedule``: the JSON databases of years of tuning, as a recorded pool.

``database_workload.json`` has a line ``[hash, module]`` a workload, and
``database_tuning_record.json`` a line ``[workload, [trace, seconds, target, arguments]]`` a
program. A database does not keep devices apart: its records become a task for each target.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib.util
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.features import DECISIONS
from balto.data.files import as_path, reading
from balto.data.outcome import Outcome
from balto.data.outcomes import Outcomes
from balto.data.plausible import LARGEST_FEATURE, flop_problem, shape_problem
from balto.data.pool import Pool
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError, WorkerDied, WorkerError, WorkerRaised
from balto.importers.ansor import parse_target
from balto.importers.costs import outcome_of_costs
from balto.importers.imported import (
    Imported,
    Names,
    SkipLine,
    one_row_each,
    part,
    reading_line,
    refuse_packed,
    writable,
    write,
)
from balto.importers.lines import Members, TaskLines, bounded_lines
from balto.programs import decisions
from balto.text import one_line
from balto.workers.worker import Worker

#: The files of a database.
WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"
#: Bytes of a line, and of all workloads; characters of traces that are held at a time.
LONGEST_LINE, LARGEST, HELD = 1 << 24, 1 << 28, 1 << 25
#: Seconds that reading a module may take, and traces of a task that are tried on it.
DEADLINE_S, TRIES = 300.0, 64
#: Instructions that TVM has renamed since.
RENAMED = {"GetBlock": "GetSBlock"}
#: What TVM adds to a target itself.
_IMPLIED_KEYS = (["cpu"], ["cuda", "gpu"])


def import_metaschedule(
    work_dir: str | Path, pool: str | Path, device: str | None = None
) -> Imported:
    """Read a database and write a pool with its modules, traces and the features `decisions`.

    Where TVM is installed it reads each module, in a worker process, and applies traces to it until
    one works. A module that this TVM does not read is left out, and so `balto features` cannot add
    to that task; programs that it cannot make of a module that it reads are skipped.

    Args:
        work_dir: the folder of the database, or the ``work_dir`` of a tuning.
        pool: where the pool goes.
        device: the name of the device that measured; None to take what the targets say.

    Raises:
        InputError: there is no database, or nothing of it can be read.
        StorageError: the pool cannot be written.
    """
    folder = as_path(work_dir)
    with reading(folder, InputError):
        if not (folder / RECORDS).is_file() and (folder / "database" / RECORDS).is_file():
            folder = folder / "database"  # of balto tune
        for name in (WORKLOADS, RECORDS):
            if not (folder / name).is_file():
                raise InputError(
                    f"expected MetaSchedule's {WORKLOADS} and {RECORDS} in {one_line(folder)}, "
                    f"found no {name}"
                )
            refuse_packed(folder / name)
    result = Imported()
    with reading(folder / WORKLOADS, InputError):
        modules = _modules(folder / WORKLOADS)
    lines = TaskLines([folder / RECORDS], _key, LONGEST_LINE, result.skipped)
    with _Modules(modules) as described:
        parts = _parts(lines, described, device, result)
        write(parts, pool, one_line(folder), result)
        result.notes += described.notes()
    return result


def _modules(path: Path) -> list[str]:
    """TVM's JSON of each workload; empty for one that cannot be read."""
    if path.stat().st_size > LARGEST:
        raise InputError(
            f"expected at most {LARGEST >> 20} MiB of workloads, {one_line(path)} has more"
        )
    with path.open("rb") as file:
        return [_module(line or b"") for _, line in bounded_lines(file, LONGEST_LINE)]


def _module(line: bytes) -> str:
    """After Base64 come eight bytes, the length, and the text."""
    try:
        _, encoded = json.loads(line)
        data = base64.b64decode(encoded, validate=True)
        text = data[8:].decode()
    except (ValueError, TypeError, binascii.Error, RecursionError):
        return ""
    return text if text.startswith("{") else ""


def _fields(line: bytes) -> tuple[int, list[Any], Any, Any, Any]:
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


def _key(line: bytes, path: Path) -> bytes:  # noqa: ARG001
    workload, _, _, target, _ = _fields(line)
    text = f"{workload} {json.dumps(target, sort_keys=True)}"
    return blake2b(text.encode(), digest_size=16).digest()


def _parts(
    lines: TaskLines, described: _Modules, device: str | None, result: Imported
) -> Iterator[Pool]:
    names = Names()
    for members in lines:
        kept = _kept(members)
        module = described.of(members)
        task: Task | None = None
        traces: list[str] = []
        rows: list[NDArray[np.float32]] = []
        outcomes: list[Outcome] = []
        for number, (_, line) in enumerate(members):
            try:
                _, trace, outcome = _record(line)
                if not described.applies(trace, module):
                    raise SkipLine("a trace that this TVM cannot apply")
                if task is None:
                    with reading_line():
                        task = _task(line, module, device, names)
                if kept.get(_digest(trace)) != number:
                    raise SkipLine("the same program again")
                row = _row(trace)
            except SkipLine as reason:
                result.skipped[str(reason)] += 1
                continue
            traces.append(trace)
            rows.append(row)
            outcomes.append(outcome)
            if sum(map(len, traces)) > HELD:
                yield _part(task, traces, rows, outcomes)
                traces, rows, outcomes = [], [], []
        if task is not None and traces:
            yield _part(task, traces, rows, outcomes)


def _row(trace: str) -> NDArray[np.float32]:
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


def _kept(lines: Members) -> dict[bytes, int]:
    """Which line of each program is taken: the first that worked, or the first."""
    kept: dict[bytes, tuple[bool, int]] = {}
    for number, (_, line) in enumerate(lines):
        try:
            _, trace, outcome = _record(line)
        except SkipLine:
            continue
        before = kept.setdefault(_digest(trace), (outcome.ok, number))
        if outcome.ok and not before[0]:
            kept[_digest(trace)] = (True, number)
    return {digest: number for digest, (_, number) in kept.items()}


def _traces(lines: Members) -> Iterator[tuple[int, str]]:
    """Workload and trace of each measured program."""
    for _, line in lines:
        try:
            workload, trace, _ = _record(line)
        except SkipLine:
            continue
        yield workload, trace


def _digest(trace: str) -> bytes:
    return blake2b(trace.encode(), digest_size=16).digest()


def _record(line: bytes) -> tuple[int, str, Outcome]:
    """Workload, trace in today's form, and outcome of a line.

    Raises:
        SkipLine: it is no measured program.
    """
    with reading_line():
        workload, trace, seconds, _, _ = _fields(line)
        if seconds is None:
            raise SkipLine("not measured")
        return workload, _normal(trace), outcome_of_costs(seconds)


def _normal(trace: list[Any]) -> str:
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


def _task(line: bytes, module: _Module, device: str | None, names: Names) -> Task:
    workload, trace, _, said, arguments = _fields(line)
    target = _target(said)
    shapes = _shapes(arguments)
    op = _main_block(json.loads(_normal(trace))[0])
    label = ",".join("x".join(map(str, shape)) or "scalar" for shape in shapes[:-1][:2])
    by_target = (target.option("model"), target.mcpu, target.option("arch"), target.kind)
    return Task(
        name=names.unique(f"{op}_{label}" if label else f"{op}_{workload}"),
        op=writable(op),
        args=json.dumps(shapes),
        weight=1,
        target=target,
        device=writable(device or next(str(name) for name in by_target if name)),
        flop=module.flop,
        module=module.text,
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


@dataclass
class _Module:
    """What TVM says of a workload.

    Attributes:
        text: its JSON; None where it is of no use.
        flop: its operations; NaN where unknown.
        bad: of the traces that were tried on it, those that cannot be applied.
    """

    text: str | None = None
    flop: float = math.nan
    bad: set[bytes] = field(default_factory=set)


class _Modules:
    """The modules of a database, each looked at by TVM when it is first asked for."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._known: dict[int, _Module] = {}
        self._instructions: set[str] = set()  # names of those that TVM is known to have
        installed = importlib.util.find_spec("tvm") is not None
        self._worker = Worker() if installed else None

    def __enter__(self) -> _Modules:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.close()

    def of(self, members: Members) -> _Module:
        """The module of a task; its traces are tried if no other task of the workload had one."""
        for workload, _ in _traces(members):
            known = self._known.get(workload)
            if known is None or known.text is None:
                traces = (trace for _, trace in _traces(members))
                self._known[workload] = self._look(workload, traces)
            return self._known[workload]
        return _Module()

    def _look(self, workload: int, traces: Iterable[str]) -> _Module:
        text = self._modules[workload] if workload < len(self._modules) else ""
        if not text or self._worker is None:
            return _Module(text or None)
        bad: set[bytes] = set()
        try:
            flop = float(self._call("operations_in_worker", text))
            if flop_problem(flop):
                return _Module()
            for trace in islice(traces, TRIES):
                try:
                    self._call("apply_in_worker", text, trace)
                except (WorkerRaised, WorkerDied):
                    bad.add(_digest(trace))
                else:
                    return _Module(text, flop or math.nan, bad)
        except WorkerError:
            pass
        return _Module()

    def _call(self, function: str, *args: Any) -> Any:
        assert self._worker is not None
        path = f"balto.importers.metaschedule:{function}"
        return self._worker.call_with_retries(path, *args, deadline_s=DEADLINE_S)

    def applies(self, trace: str, module: _Module) -> bool:
        """Whether nothing is known against a trace: it was tried, or has an unknown instruction."""
        if self._worker is None or module.text is None:
            return True
        names = {str(name) for name, *_ in json.loads(trace)[0]}
        if new := sorted(names - self._instructions):
            self._instructions |= set(self._call("instructions_in_worker", new))
        return _digest(trace) not in module.bad and names <= self._instructions

    def notes(self) -> list[str]:
        """What a person should know."""
        if self._worker is None:
            return ["TVM is not installed: modules are taken as they are, operations are unknown"]
        unread = sum(module.text is None for module in self._known.values())
        if not unread:
            return []
        return [
            f"{unread} of {len(self._known)} workloads are not read by this TVM, or none of their "
            f"first {TRIES} traces can be applied: their tasks have the features decisions alone"
        ]


def operations_in_worker(module: str) -> float:
    """Operations of a module. Runs in a worker."""
    from balto.workers.tvm_setup import import_tvm

    tvm = import_tvm()
    from tvm.s_tir.analysis import estimate_tir_flops

    return float(estimate_tir_flops(tvm.ir.load_json(module)))


def apply_in_worker(module: str, trace: str) -> None:
    """Raise if a trace cannot be applied to a module. Runs in a worker."""
    from balto.programs.schedule import schedule

    schedule(module, trace)


def instructions_in_worker(names: Sequence[str]) -> list[str]:
    """Those of some names that TVM has an instruction of. Runs in a worker."""
    from balto.workers.tvm_setup import import_tvm

    import_tvm()
    from tvm.s_tir.schedule import InstructionKind

    known = []
    for name in names:
        with contextlib.suppress(AttributeError, RuntimeError, ValueError):
            InstructionKind.get(name)
            known.append(name)
    return known


def _part(
    task: Task,
    traces: list[str],
    rows: Sequence[NDArray[np.float32]],
    outcomes: Sequence[Outcome],
) -> Pool:
    features = {DECISIONS.name: one_row_each(np.concatenate(rows))}
    return part(task, features, list(traces), Outcomes.of(outcomes))
