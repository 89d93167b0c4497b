"""Whether a compiled network computes what it should, and how long it takes. Runs in a worker."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from balto.data.target import Target
from balto.deploy import reference
from balto.deploy.compile import Tensor
from balto.deploy.machine import load, outputs, random_inputs, runs_of, time_in_turns
from balto.deploy.operators import distance
from balto.errors import InputError
from balto.measure.execute import device_of
from balto.text import one_line


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
        with reference.runtime(spec, arrays, threads, device_of(target)) as found:
            if found is not None:
                name, run = found
                *latency_s, other_s = time_in_turns([*runs, run])
                return latency_s, {name: other_s}, ""
    except Exception as error:  # what TVM imports, another runtime may not
        return time_in_turns(runs), {}, one_line(error)
    return time_in_turns(runs), {}, ""


@functools.lru_cache(maxsize=2)
def _expected(spec: str, inputs: tuple[Any, ...]) -> list[NDArray[Any]]:
    return reference.expected(spec, random_inputs(inputs))
