"""TVM's virtual machine: load a compiled network, run it, time it in turns with others."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.target import Target
from balto.deploy.compile import Tensor
from balto.deploy.operators import random_arrays
from balto.measure.execute import device_of
from balto.workers.tvm_setup import import_tvm, use_cores

#: Networks are timed in turns of so many seconds, for so many seconds each, in so many turns at
#: least: one run after another, as a network is used, finds its weights in the caches.
_TURN_S, _TIMING_S, _TURNS = 0.1, 2.0, 3


#: What takes longer than this is run but twice.
_SLOW_S = 5.0


def runs_of(
    paths: Sequence[Path], inputs: Sequence[Tensor], target: Target
) -> list[Callable[[], object]]:
    """What runs each library once, on random inputs, and waits until it is done."""
    device = import_tvm(target).device(device_of(target))
    arrays = _tensors(random_inputs(inputs), target)

    def run(main: Any) -> None:
        main(*arrays)
        device.sync()  # a GPU's programs run while we go on

    return [functools.partial(run, load(path, target)["main"]) for path in paths]


def time_in_turns(
    runs: Sequence[Callable[[], object]], timing_s: float = _TIMING_S, slow_s: float = _SLOW_S
) -> list[float]:
    """Median seconds of each, run in turns.

    Args:
        runs: each runs something once.
        timing_s: seconds for each, if it is not slow.
        slow_s: seconds of a run from which on it is run but twice.
    """
    taken: list[list[float]] = [[] for _ in runs]
    until, turn = time.monotonic() + timing_s * len(runs), 0
    while turn < _TURNS or time.monotonic() < until:
        for run, seconds in zip(runs, taken, strict=True):
            if turn < 2 or seconds[0] <= slow_s:
                seconds += _turn(run, slow_s)
        turn += 1
    return [float(np.median(seconds)) for seconds in taken]


def _turn(run: Callable[[], object], slow_s: float) -> list[float]:
    """Seconds of some runs, without the first, which warms up; of a slow one, of that one."""
    first = _seconds(run)
    if first > slow_s:
        return [first]
    until = time.monotonic() + _TURN_S
    seconds = [_seconds(run)]
    while time.monotonic() < until:
        seconds.append(_seconds(run))
    return seconds


def load(path: Path, target: Target) -> Any:
    """TVM's virtual machine of a library, with as many threads as the target has cores."""
    tvm = import_tvm(target)
    from tvm import relax

    use_cores(target.cores or 1)
    return relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.device(device_of(target)))


def outputs(main: Any, arrays: Sequence[NDArray[Any]], target: Target) -> list[NDArray[Any]]:
    """What a network's ``main`` computes: arrays in, arrays out, tuples flattened."""

    def flat(value: Any) -> list[NDArray[Any]]:
        if hasattr(value, "numpy"):
            return [value.numpy()]
        return [leaf for each in value for leaf in flat(each)]

    return flat(main(*_tensors(arrays, target)))


def random_inputs(inputs: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Random inputs of a network."""
    return random_arrays([*((s, d) for _, s, d in inputs), ([], "float32")])[:-1]


def _tensors(arrays: Sequence[NDArray[Any]], target: Target) -> list[Any]:
    tvm = import_tvm(target)
    return [tvm.runtime.tensor(each, tvm.device(device_of(target))) for each in arrays]


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
