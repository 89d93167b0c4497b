"""The first step of measuring: from a program to an artifact that can be run, here or elsewhere."""

from __future__ import annotations

import functools
import math
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.measure.settings import Limit
from balto.programs.gathers import to_compile
from balto.programs.schedule import CHECKS_OFF, program_of, with_laid_out_weights
from balto.workers.child import note, stage
from balto.workers.tvm_setup import import_tvm, tvm_target

#: Object files: the machine that runs the program links them, so that none needs a cross-linker.
_LIBRARY = "program.tar"
#: Artifacts that a process keeps in memory, for programs that are timed again.
KEPT = 32


@dataclass(frozen=True)
class Program:
    """One program to build.

    Attributes:
        module: TVM's JSON of the task's module.
        trace: JSON of the trace that makes the program; empty for the module as it is.
        target: what to compile for.
        limit_s: seconds of the processor after which building it is ended; infinity for none of
            its own. It is the same program whatever this says.
    """

    module: str
    trace: str
    target: Target
    limit_s: float = field(default=math.inf, compare=False)

    @classmethod
    def of(cls, candidate: Candidate) -> Program:
        """The program that a candidate stands for.

        Raises:
            InputError: If the candidate's task has no module, or the candidate has no trace.
        """
        task = candidate.task
        of = task.require_module(), candidate.require_trace(), task.target
        return cls(*of, candidate.build_limit_s)


@dataclass(frozen=True, eq=False)
class Artifact:
    """A program that has been built.

    As `build` makes it, it lives in the memory of its process, and `runnable` is at hand. Exported,
    it is bytes: it can be pickled, sent and timed on another machine.

    Attributes:
        target: what it was compiled for.
        arguments: ``(shape, dtype)`` of each argument of ``main``.
        library: the exported library; empty while it lives in memory.
    """

    target: Target
    arguments: tuple[tuple[tuple[int, ...], str], ...]
    library: bytes = b""
    _runnable: Any = field(default=None, repr=False)

    @property
    def runnable(self) -> Any:
        """The TVM module, loaded on this machine."""
        if self._runnable is not None:
            return self._runnable
        with tempfile.TemporaryDirectory(prefix="balto-") as folder:
            return import_tvm(self.target).runtime.load_module(str(self.save(Path(folder))))

    def load(self) -> Artifact:
        """The same in memory, ready to run on this machine."""
        return replace(self, _runnable=self.runnable)

    def export(self) -> Artifact:
        """The same as bytes."""
        if self.library:
            return self
        with tempfile.TemporaryDirectory(prefix="balto-") as folder:
            path = Path(folder) / _LIBRARY
            self._runnable.export_library(str(path))
            return replace(self, library=path.read_bytes(), _runnable=None)

    def save(self, folder: Path) -> Path:
        """Write the exported library into a folder; returns its path, as TVM loads it."""
        path = folder / _LIBRARY
        path.write_bytes(self.export().library)
        return path

    def __getstate__(self) -> dict[str, Any]:
        if not self.library:
            raise TypeError("an artifact in memory cannot be pickled; export() it first")
        return dict(self.__dict__)


def build(program: Program, *, export: bool = False) -> Artifact:
    """Compile a program.

    Args:
        program: what to build.
        export: give the artifact as bytes, for whatever machine its target means; otherwise it
            lives in memory, ready to run on this one.
    """
    module = program_of(program.module, program.trace, program.target)
    artifact = build_module(with_laid_out_weights(module), program.target)
    if export:
        return artifact.export()
    artifact.runnable["main"]  # LLVM generates machine code only now; it is part of building
    return artifact


def build_module(module: Any, target: Target) -> Artifact:
    """Compile a scheduled TVM module; the artifact lives in memory."""
    tvm = import_tvm(target)
    infos = tvm.s_tir.meta_schedule.arg_info.ArgInfo.from_prim_func(module["main"])
    arguments = tuple((tuple(int(d) for d in info.shape), str(info.dtype)) for info in infos)
    with tvm.transform.PassContext(config=CHECKS_OFF):
        runnable = tvm.tirx.build(module, tvm_target(to_compile(module, target)))
    return Artifact(target, arguments, _runnable=runnable)


@dataclass(frozen=True, eq=False)
class Built:
    """What building gave.

    Attributes:
        artifact: exported.
        build_s: seconds that it took.
    """

    artifact: Artifact
    build_s: float


def limit_of(work: Program | Built, limit: Limit) -> Limit:
    """What building may take: the limit of all programs, or the program's own."""
    return limit.at_most(work.limit_s) if isinstance(work, Program) else limit


def build_exported(program: Program, limit: Limit) -> Built:
    """Build and export a program within a limit; what a worker of an executor runs."""
    stage("build", *limit_of(program, limit))
    started = time.perf_counter()
    try:
        artifact = build(program, export=True)
    except Exception:
        note(build_s=time.perf_counter() - started)
        raise
    return Built(artifact, time.perf_counter() - started)


def artifact_of(work: Program | Built) -> Artifact:
    """The artifact of a program, built here unless it was before; tells the parent `build_s`.

    A program is built in memory, and kept there for a while; what was built before comes as bytes.
    """
    if isinstance(work, Built):
        note(build_s=work.build_s, built_elsewhere=True)
        return work.artifact
    started = time.perf_counter()
    artifact = _built(work)
    note(build_s=time.perf_counter() - started)
    return artifact


@functools.lru_cache(maxsize=KEPT)
def _built(program: Program) -> Artifact:
    return build(program)
