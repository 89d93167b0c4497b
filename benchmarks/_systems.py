"""Four ways of measuring the same programs: ours, and three to compare with."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.errors import WorkerError
from balto.measure.execute import _tensor
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings
from balto.programs.schedule import schedule
from balto.workers.tvm_setup import import_tvm
from balto.workers.worker import Worker

Latencies = NDArray[np.float64]
Programs = list[tuple[str, str, Target]]  # module, trace, target

_HERE = "benchmarks._systems:"


def ours(
    candidates: Sequence[Candidate], settings: MeasureSettings | None = None
) -> tuple[float, Latencies]:
    """Seconds, without starting, and latencies. Nothing is known of any task beforehand."""
    latencies = np.full(len(candidates), math.nan)
    with LiveMeasurer.for_target(candidates[0].task.target, settings) as measurer:
        list(measurer.measure(candidates[: len(measurer.pids())]))  # every worker is warm
        started = time.perf_counter()
        for i, outcome in measurer.measure(candidates):
            latencies[i] = outcome.latency_s
        return time.perf_counter() - started, latencies


def naive(candidates: Sequence[Candidate]) -> tuple[float, Latencies]:
    """A single warm process that compiles, JITs and times three fixed repeats of 50 ms."""
    target = candidates[0].task.target
    with Worker(preload=[("balto.workers.tvm_setup:import_tvm", target)]) as worker:
        worker.call(_HERE + "time_naively", *_plain(candidates)[0], deadline_s=60)  # it is warm
        latencies = np.full(len(candidates), math.nan)
        started = time.perf_counter()
        for i, (module, trace, _) in enumerate(_plain(candidates)):
            try:
                latencies[i] = worker.call(
                    _HERE + "time_naively", module, trace, target, deadline_s=60
                )
            except WorkerError:
                continue
        return time.perf_counter() - started, latencies


def stock(candidates: Sequence[Candidate], warm: bool) -> tuple[float, Latencies]:
    """MetaSchedule's LocalBuilder and LocalRunner; `warm` takes the slow import out of them."""
    target = candidates[0].task.target
    with Worker(preload=[("balto.workers.tvm_setup:import_tvm", target)]) as worker:
        seconds, latencies, errors = worker.call(
            _HERE + "run_stock", _plain(candidates), warm, deadline_s=3600
        )
    if errors:
        print(f"{len(errors)} failed, the first: {errors[0][-300:]}")
    return seconds, np.array(latencies)


def _plain(candidates: Sequence[Candidate]) -> Programs:
    return [(c.task.module or "", c.trace or "", c.task.target) for c in candidates]


def time_naively(module: str, trace: str, target: Target) -> float:
    """Runs in a worker; the smallest of three repeats."""
    tvm = import_tvm(target)
    sch = schedule(module, trace)
    runnable = tvm.compile(sch.mod, target=tvm.target.Target(target.to_dict())).jit()
    _, arguments = (
        tvm,
        [
            (tuple(int(d) for d in info.shape), str(info.dtype))
            for info in tvm.s_tir.meta_schedule.arg_info.ArgInfo.from_prim_func(sch.mod["main"])
        ],
    )
    tensors = [_tensor("cpu", i, *argument) for i, argument in enumerate(arguments)]
    evaluator = runnable.time_evaluator("main", tvm.cpu(), repeat=3, min_repeat_ms=50)
    return float(min(evaluator(*tensors).results))


def stand_ins() -> None:
    """The initializer of stock_warm's workers: the start-up trap taken out."""
    import_tvm()


def run_stock(programs: Programs, warm: bool) -> tuple[float, list[float], list[str]]:
    """Runs in a worker: MetaSchedule's own parts start their processes from there."""
    tvm = import_tvm(programs[0][2])
    from tvm.s_tir import meta_schedule as ms

    initializer = stand_ins if warm else None
    builder = ms.builder.LocalBuilder(initializer=initializer)
    runner = ms.runner.LocalRunner(initializer=initializer)
    target = tvm.target.Target(programs[0][2].to_dict())
    mods = [schedule(module, trace).mod for module, trace, _ in programs]
    started = time.perf_counter()
    built = builder.build([ms.builder.BuilderInput(mod, target) for mod in mods])
    infos = [ms.arg_info.ArgInfo.from_entry_func(mod, remove_preproc=True) for mod in mods]
    inputs: dict[int, Any] = {
        i: ms.runner.RunnerInput(result.artifact_path, "cpu", infos[i])
        for i, result in enumerate(built)
        if result.error_msg is None
    }
    latencies = [math.nan] * len(mods)
    errors = [str(result.error_msg) for result in built if result.error_msg is not None]
    for i, future in zip(inputs, runner.run(list(inputs.values())), strict=True):
        result = future.result()
        if result.error_msg is None:
            latencies[i] = min(float(s) for s in result.run_secs)
        else:
            errors.append(str(result.error_msg))
    return time.perf_counter() - started, latencies, errors
