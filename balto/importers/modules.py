"""The modules of a MetaSchedule database: read from its file, and looked at by TVM in a worker."""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib.util
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from balto.data.plausible import flop_problem
from balto.errors import InputError, WorkerDied, WorkerError, WorkerRaised
from balto.importers.database import digest, traces_of
from balto.importers.lines import Members, bounded_lines
from balto.text import one_line
from balto.workers.worker import Worker

#: Bytes of a line, and of all workloads.
LONGEST_LINE, LARGEST = 1 << 24, 1 << 28
#: Seconds that reading a module may take, and traces of a task that are tried on it.
DEADLINE_S, TRIES = 300.0, 64


@dataclass
class Module:
    """What TVM says of a workload.

    Attributes:
        text: its JSON; None where it is of no use.
        flop: its operations; NaN where unknown.
        bad: of the traces that were tried on it, those that cannot be applied.
    """

    text: str | None = None
    flop: float = math.nan
    bad: set[bytes] = field(default_factory=set)


def read_modules(path: Path) -> list[str]:
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


class Modules:
    """The modules of a database, each looked at by TVM when it is first asked for."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._known: dict[int, Module] = {}
        self._instructions: set[str] = set()  # names of those that TVM is known to have
        installed = importlib.util.find_spec("tvm") is not None
        self._worker = Worker() if installed else None

    def __enter__(self) -> Modules:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.close()

    def of(self, members: Members) -> Module:
        """The module of a task; its traces are tried if no other task of the workload had one."""
        for workload, _ in traces_of(members):
            known = self._known.get(workload)
            if known is None or known.text is None:
                traces = (trace for _, trace in traces_of(members))
                self._known[workload] = self._look(workload, traces)
            return self._known[workload]
        return Module()

    def _look(self, workload: int, traces: Iterable[str]) -> Module:
        text = self._modules[workload] if workload < len(self._modules) else ""
        if not text or self._worker is None:
            return Module(text or None)
        bad: set[bytes] = set()
        try:
            flop = float(self._call("operations_in_worker", text))
            if flop_problem(flop):
                return Module()
            for trace in islice(traces, TRIES):
                try:
                    self._call("apply_in_worker", text, trace)
                except (WorkerRaised, WorkerDied):
                    bad.add(digest(trace))
                else:
                    return Module(text, flop or math.nan, bad)
        except WorkerError:
            pass
        return Module()

    def _call(self, function: str, *args: Any) -> Any:
        assert self._worker is not None
        path = f"balto.importers.modules:{function}"
        return self._worker.call_with_retries(path, *args, deadline_s=DEADLINE_S)

    def applies(self, trace: str, module: Module) -> bool:
        """Whether nothing is known against a trace: it was tried, or has an unknown instruction."""
        if self._worker is None or module.text is None:
            return True
        names = {str(name) for name, *_ in json.loads(trace)[0]}
        if new := sorted(names - self._instructions):
            self._instructions |= set(self._call("instructions_in_worker", new))
        return digest(trace) not in module.bad and names <= self._instructions

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
