"""The second step of measuring: time an artifact, on this machine or on a device over RPC."""

from __future__ import annotations

import functools
import hashlib
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from balto.data.target import Target
from balto.measure.build import Artifact
from balto.measure.noise import DisturbanceDetector
from balto.measure.timing import Timing, TimingSettings, time_program
from balto.workers.tvm_setup import import_tvm

#: A repeat of up to this many runs is a loop in Python.
_FEW = 20


def time_artifact(
    artifact: Artifact,
    timing: TimingSettings,
    best_s: float = math.inf,
    *,
    alone: bool = False,
    session: Any = None,
) -> Timing:
    """Load an artifact, fill its arguments, and time it.

    Args:
        artifact: in memory or exported; over a session, its bytes are uploaded.
        timing: how precisely.
        best_s: the smallest latency of its task so far; infinity if it is the first.
        alone: the program runs in this thread, on a core of its own (see `on_this_cpu`).
        session: a TVM RPC session on the device to time on; None for this machine.
    """
    kind = device_of(artifact.target)
    if session is not None:
        runnable, device = _upload(artifact, session), session.device(kind)
        tensors = _remote_tensors(artifact, session, device)
        return time_program(_evaluated(runnable, device, tensors, False), timing, None, best_s)
    device = import_tvm(artifact.target).device(kind)
    tensors = [_tensor(kind, i, *each) for i, each in enumerate(artifact.arguments)]
    repeat = _evaluated(artifact.runnable, device, tensors, timing.flush_cache)
    if kind != "cpu":
        return time_program(repeat, timing, None, best_s)
    if not timing.flush_cache:
        repeat = _called_if_few(artifact.runnable, tensors, repeat)
    if alone:
        repeat = on_this_cpu(repeat)
    return time_program(repeat, timing, _detector(), best_s)


def device_of(target: Target) -> str:
    """TVM's name for the kind of device that a target runs on."""
    return "cpu" if target.on_cpu else target.kind


@functools.cache
def _detector() -> DisturbanceDetector:
    return DisturbanceDetector()


@functools.lru_cache(maxsize=64)
def _tensor(device: str, place: int, shape: tuple[int, ...], dtype: str) -> Any:
    """Input or output number `place`, filled once and used by every program that needs its like."""
    tvm = import_tvm()
    if dtype.startswith("float"):
        values = np.random.default_rng(place).random(shape, dtype=np.float32).astype(dtype)
    else:
        values = np.zeros(shape, dtype=dtype)
    return tvm.runtime.tensor(values, device=tvm.device(device))


def _upload(artifact: Artifact, session: Any) -> Any:
    with tempfile.TemporaryDirectory(prefix="balto-") as folder:
        path = artifact.save(Path(folder))
        # A name of its own: the device would take a second library of one name for the first.
        name = f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}{path.suffix}"
        session.upload(str(path), name)
        return session.load_module(name)


def _remote_tensors(artifact: Artifact, session: Any, device: Any) -> list[Any]:
    """Arguments on the device, filled there."""
    tvm = import_tvm()
    fill = session.get_function("tvm.contrib.random.random_fill_for_measure")
    tensors = []
    for shape, dtype in artifact.arguments:
        tensors.append(tvm.runtime.empty(shape, dtype, device))
        fill(tensors[-1])
    return tensors


Repeat = Callable[[int], float]


def _evaluated(runnable: Any, device: Any, tensors: list[Any], flush: bool) -> Repeat:
    """Run the program a number of times with TVM's evaluator; gives the seconds of one run.

    The evaluator times on the device, and runs the program once more each time it is called.
    """

    def repeat(number: int) -> float:
        evaluator = runnable.time_evaluator(
            "main",
            device,
            number=1 if flush else number,
            repeat=number if flush else 1,
            f_preproc="cache_flush_cpu_non_first_arg" if flush else "",
        )
        return float(evaluator(*tensors).mean)

    return repeat


def _called_if_few(runnable: Any, tensors: list[Any], many: Repeat) -> Repeat:
    """Call the program itself where the runs are few: that is cheaper on a CPU, and 1 us off."""
    main = runnable["main"]

    def repeat(number: int) -> float:
        if number > _FEW:
            return many(number)
        started = time.perf_counter()
        for _ in range(number):
            main(*tensors)
        return (time.perf_counter() - started) / number

    return repeat


def on_this_cpu(repeat: Repeat) -> Repeat:
    """Return the smaller of wall time and the thread's CPU time: pre-emption does not count.

    The thread's CPU time includes all of the program's and a little more, so that the smaller of
    the two is never less than what the program needed.
    """

    def mine(number: int) -> float:
        own = time.thread_time()
        seconds = repeat(number)
        return min(seconds, (time.thread_time() - own) / number)

    return mine
