"""TVM's virtual machine: load a compiled network, run it, time it in turns with others."""

from __future__ import annotations

import functools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.files import sha256
from balto.data.target import Target
from balto.deploy.compile import Tensor
from balto.measure.execute import device_of
from balto.workers.tvm_setup import import_tvm, use_cores

#: Networks are timed in turns of so many seconds, for so many seconds each, in so many turns at
#: least: one run after another, as a network is used, finds its weights in the caches.
_TURN_S, _TIMING_S, _TURNS = 0.1, 2.0, 3


#: What takes longer than this is run but twice.
_SLOW_S = 5.0

_libraries: dict[str, Any] = {}
_paths: set[Path] = set()
_loading = threading.Lock()


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


def load(path: Path, target: Target, checksum: str = "") -> Any:
    """TVM's virtual machine of a library, with as many threads as the target has cores.

    Each is a new one, which runs one call at a time; those of a library share its weights.
    """
    tvm = import_tvm(target)
    from tvm import relax

    use_cores(target.cores or 1)
    return relax.VirtualMachine(library(path, target, checksum), tvm.device(device_of(target)))


def library(path: Path, target: Target, checksum: str = "") -> Any:
    """A compiled library; what has the same bytes is loaded once a process.

    TVM keeps whatever it loads, weights and all, until the process ends.

    Args:
        path: of the library.
        target: of its programs.
        checksum: its SHA-256, if it is known.
    """
    tvm, checksum = import_tvm(target), checksum or sha256(path)
    with _loading:
        if checksum not in _libraries:
            # A process that loads a path again gets what was there the first time: not so a copy.
            with tempfile.TemporaryDirectory(prefix="balto-") as folder:
                seen = path.resolve() in _paths
                _paths.add(path.resolve())
                name = str(shutil.copy(path, folder) if seen else path)
                _libraries[checksum] = tvm.runtime.load_module(name)
        return _libraries[checksum]


def outputs(main: Any, arrays: Sequence[NDArray[Any]], target: Target) -> list[NDArray[Any]]:
    """What a network's ``main`` computes: arrays in, arrays out, tuples flattened."""

    def flat(value: Any) -> list[NDArray[Any]]:
        if hasattr(value, "numpy"):
            return [value.numpy()]
        return [leaf for each in value for leaf in flat(each)]

    return flat(main(*_tensors(arrays, target)))


def random_inputs(inputs: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Random inputs of a network, always the same.

    Normal floats; bytes of all values; other integers, which may be indices, and truth values are 0
    or 1.
    """
    rng = np.random.default_rng(0)
    arrays = []
    for _, shape, dtype in inputs:
        info = np.iinfo(dtype) if dtype in ("int8", "uint8") else None
        low, high = (info.min, info.max + 1) if info else (0, 2)
        drawn: Any = rng.normal(size=shape) if "float" in dtype else rng.integers(low, high, shape)
        arrays.append(np.asarray(drawn).astype(dtype))
    return arrays


def _tensors(arrays: Sequence[NDArray[Any]], target: Target) -> list[Any]:
    tvm = import_tvm(target)
    return [tvm.runtime.tensor(each, tvm.device(device_of(target))) for each in arrays]


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
