"""Whether a compiled network computes what it should, and how long it takes. Runs in a worker."""

from __future__ import annotations

import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.files import one_line
from balto.data.target import Target
from balto.errors import InputError
from balto.measure.execute import device_of
from balto.deploy import origin
from balto.deploy.operators import distance, random_arrays
from balto.deploy.compile import Tensor
from balto.workers.tvm_setup import import_tvm, use_cores

#: Networks are timed in turns of so many seconds, for so many seconds each, in so many turns at
#: least: one run after another, as a network is used, finds its weights in the caches.
_TURN_S, _TIMING_S, _TURNS = 0.1, 2.0, 3
#: What takes longer than this is run but twice.
_SLOW_S = 5.0


def error_of_network(spec: str, path: Path, inputs: Sequence[Tensor], target: Target) -> float:
    """How far a library is from the reference on random inputs, in tolerances: right up to 1.

    Args:
        spec: network or model file.
        path: of the library.
        inputs: of the network.
        target: of the library.
    """
    expected = expected_of(spec, inputs)
    with tempfile.TemporaryDirectory(prefix="balto-") as folder:
        # A process that loads a path again gets what was there the first time.
        copy = Path(shutil.copy(path, folder))
        got = outputs(load(copy, target)["main"], random_inputs(inputs), target)
    if len(got) != len(expected):
        return float("inf")
    return max(distance(a, b) for a, b in zip(got, expected, strict=True))


def expected_of(spec: str, inputs: Sequence[Tensor]) -> list[NDArray[Any]]:
    """What the reference computes on random inputs; computed once a process.

    Raises:
        InputError: the reference does not run the network.
    """
    try:
        return _expected(spec, tuple((n, tuple(s), d) for n, s, d in inputs))
    except Exception as error:
        raise InputError(
            f"the outputs of {spec} cannot be checked: its reference does not run it: "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error


def time_beside(
    paths: Sequence[Path], spec: str, inputs: Sequence[Tensor], target: Target
) -> tuple[list[float], dict[str, float], str]:
    """Time libraries of a network, in turns with the runtime that the network came from.

    Args:
        paths: of the libraries.
        spec: network or model file.
        inputs: of the network.
        target: of the libraries; its number of cores is the number of threads, of both.

    Returns:
        Median seconds of a run of each library; the same of the runtime, by its name, empty if it
        is not installed; and why it refuses the network, empty if it does not.
    """
    runs = runs_of(paths, inputs, target)
    arrays, threads = random_inputs(inputs), target.cores or 1
    try:
        with origin.runtime(spec, arrays, threads, device_of(target)) as found:
            if found is not None:
                name, run = found
                *latency_s, other_s = time_in_turns([*runs, run])
                return latency_s, {name: other_s}, ""
    except Exception as error:  # what TVM imports, another runtime may not
        return time_in_turns(runs), {}, one_line(error)
    return time_in_turns(runs), {}, ""


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


@functools.lru_cache(maxsize=2)
def _expected(spec: str, inputs: tuple[Any, ...]) -> list[NDArray[Any]]:
    return origin.expected(spec, random_inputs(inputs))
