"""Build and time one program: the function that runs inside a worker process."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from balto.measure.noise import Quiet
from balto.measure.timing import Timing, TimingSettings, time_program
from balto.measure.tvm_setup import import_tvm
from balto.measure.worker_child import note, pin, stage

#: Leaves out the checks of argument types and shapes at the entry of the program, a tenth of the
#: time of building. The machine code of the computation itself is the same.
_CHECKS_OFF = {"tirx.disable_assert": True}
#: A repeat of up to so many runs is looped over in Python.
_FEW = 20


@dataclass(frozen=True)
class Request:
    """One program to build and time, and how.

    Attributes:
        module: TVM's JSON of the task's module.
        trace: JSON of the trace that makes the program.
        target: JSON of the target.
        best_s: the smallest latency of its task so far; infinity if it is the first.
        timing: how precisely to time it.
        run_timeout_s: deadline of running it.
        wait_s: deadline of waiting for the timing core.
        token: file descriptor whose lock is the right to time; -1 if nobody else times.
        build_cpus: where to build.
        time_cpus: where to time.
    """

    module: str
    trace: str
    target: str
    best_s: float
    timing: TimingSettings
    run_timeout_s: float
    wait_s: float
    token: int
    build_cpus: tuple[int, ...]
    time_cpus: tuple[int, ...]


def measure(request: Request) -> dict[str, Any]:
    """Build, wait for the timing core, time; returns the fields of an `Outcome`."""
    started = time.perf_counter()
    tvm = import_tvm(request.target)
    runnable, arguments = build(tvm, request.module, request.trace, request.target)
    built = time.perf_counter()
    note(build_s=built - started)
    stage("wait", request.wait_s)
    with _timing_core(request):
        stage("run", request.run_timeout_s)
        started = time.perf_counter()
        timing = _time(tvm, runnable, arguments, request)
        ended = time.perf_counter()
    return {**vars(timing), "measure_s": ended - started}


def build(tvm: Any, module: str, trace: str, target: str) -> tuple[Any, list[Any]]:
    """Compile a program; returns a runnable TVM module and its arguments' ``(shape, dtype)``."""
    program = schedule(tvm, module, trace).mod
    program = tvm.s_tir.transform.RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(program)
    infos = tvm.s_tir.meta_schedule.arg_info.ArgInfo.from_prim_func(program["main"])
    arguments = [(tuple(int(d) for d in info.shape), str(info.dtype)) for info in infos]
    with tvm.transform.PassContext(config=_CHECKS_OFF):
        runnable = tvm.tirx.build(program, _target(target))
    runnable["main"]  # LLVM generates machine code only now; it is part of building
    return runnable, arguments


def device_of(target: str) -> str:
    """TVM's name for the kind of device that a target runs on."""
    kind = str(json.loads(target)["kind"])
    return "cpu" if kind in ("llvm", "c") else kind


def schedule(tvm: Any, module: str, trace: str) -> Any:
    """The schedule that `trace` makes of a task's module."""
    if '"Tensorize"' in trace:
        importlib.import_module("tvm.s_tir.tensor_intrin")  # registers the intrinsics by name
    sch = tvm.s_tir.Schedule(_module(module), debug_mask=0, error_render_level="none")
    if trace:
        tvm.s_tir.schedule.Trace.apply_json_to_schedule(json.loads(trace), sch)
    return sch


@functools.lru_cache(maxsize=16)
def _module(module: str) -> Any:
    return import_tvm().ir.load_json(module)


@functools.lru_cache(maxsize=16)
def _target(target: str) -> Any:
    tvm = import_tvm(target)
    return tvm.target.Target(json.loads(target))


@functools.lru_cache(maxsize=64)
def _tensor(device: str, place: int, shape: tuple[int, ...], dtype: str) -> Any:
    """Input or output number `place`, filled once and used by every program that needs its like."""
    tvm = import_tvm()
    if dtype.startswith("float"):
        values = np.random.default_rng(place).random(shape, dtype=np.float32).astype(dtype)
    else:
        values = np.zeros(shape, dtype=dtype)
    return tvm.runtime.tensor(values, device=tvm.device(device))


@contextlib.contextmanager
def _timing_core(request: Request) -> Iterator[None]:
    """Hold the right to time, on the timing core. The kernel takes it back if we die."""
    if request.token >= 0:
        fcntl.lockf(request.token, fcntl.LOCK_EX)
    try:
        pin(list(request.time_cpus))
        yield
        pin(list(request.build_cpus))
    finally:
        if request.token >= 0:
            fcntl.lockf(request.token, fcntl.LOCK_UN)


def _time(tvm: Any, runnable: Any, arguments: list[Any], request: Request) -> Timing:
    device = device_of(request.target)
    tensors = [_tensor(device, i, *a) for i, a in enumerate(arguments)]
    alone = device == "cpu" and len(request.time_cpus) == 1
    repeat = _repeater(tvm, runnable, device, tensors, request.timing.flush_cache, alone)
    quiet = _quiet() if device == "cpu" else None
    return time_program(repeat, request.timing, quiet, request.best_s)


@functools.cache
def _quiet() -> Quiet:
    return Quiet()


def _repeater(
    tvm: Any, runnable: Any, device: str, tensors: list[Any], flush: bool, alone: bool
) -> Callable[[int], float]:
    """A function that runs the program so many times and returns the seconds of one run.

    TVM's evaluator times on the device, but runs the program once more each time it is called;
    for few runs on a CPU, calling the program costs less, and its 1 us does not show. A program
    that runs `alone` in this thread is not charged for the time in which others had its core.
    """
    main = runnable["main"]

    def runs(number: int) -> float:
        if device == "cpu" and number <= _FEW and not flush:
            started = time.perf_counter()
            for _ in range(number):
                main(*tensors)
            return (time.perf_counter() - started) / number
        evaluator = runnable.time_evaluator(
            "main",
            tvm.device(device),
            number=1 if flush else number,
            repeat=number if flush else 1,
            f_preproc="cache_flush_cpu_non_first_arg" if flush else "",
        )
        return float(evaluator(*tensors).mean)

    def repeat(number: int) -> float:
        wall, mine = time.perf_counter(), time.thread_time()
        seconds = runs(number)
        wall, mine = time.perf_counter() - wall, time.thread_time() - mine
        return seconds * min(1.0, mine / wall) if alone else seconds

    return repeat
