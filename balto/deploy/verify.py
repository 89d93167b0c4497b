"""Whether a compiled network computes what it should, and how long it takes. Runs in a worker."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.target import Target
from balto.deploy import reference
from balto.deploy.compile import Tensor, compile_network, network_tolerance
from balto.deploy.machine import load, outputs, random_inputs, runs_of, time_in_turns
from balto.deploy.tolerance import Tolerance
from balto.measure.execute import device_of
from balto.tasks.shapes import Shapes
from balto.text import one_line

_NONE: Shapes = {}


@dataclass(frozen=True)
class Comparison:
    """How far a compiled network is from where it came from.

    Attributes:
        error: of the output that is farthest off, in tolerances: right up to 1.
        tolerance: relative to the largest value of an output.
        judge: who computed what it should be.
        problem: what is wrong with an output; empty if nothing is.
    """

    error: float
    tolerance: float
    judge: str
    problem: str


def compare(
    spec: str, path: Path, inputs: Sequence[Tensor], target: Target, shapes: Shapes = _NONE
) -> Comparison:
    """Compare a library of a network with the reference, on random inputs.

    Args:
        spec: network or model file.
        path: of the library.
        inputs: of the network.
        target: of the library.
        shapes: as the network was read with.

    Raises:
        InputError: If no reference runs the network.
    """
    judge, expected = _expected(spec, tuple((n, tuple(s), d) for n, s, d in inputs))
    tolerance = network_tolerance(spec, target, shapes)
    got = outputs(load(path, target)["main"], random_inputs(inputs), target)
    if len(got) != len(expected):
        problem = f"TVM gives {len(got)} outputs, {judge} gives {len(expected)}"
        return Comparison(float("inf"), tolerance.most, judge, problem)
    errors = [distance(a, b, tolerance) for a, b in zip(got, expected, strict=True)]
    worst = int(np.argmax(errors)) if errors else 0
    problem = ""
    if errors and not errors[worst] <= 1:
        off = how_far(got[worst], expected[worst], tolerance, judge)
        problem = f"output {worst + 1} of {len(errors)} {off}"
    return Comparison(max(errors, default=0.0), tolerance.most, judge, problem)


def check_untuned(
    spec: str, inputs: Sequence[Tensor], target: Target, shapes: Shapes = _NONE
) -> Comparison:
    """Compile a network with nothing tuned, run it once, and compare it.

    Raises:
        InputError: If no reference runs the network.
    """
    with tempfile.TemporaryDirectory(prefix="balto-") as folder:
        library = Path(folder) / "untuned.so"
        compile_network(spec, target, {}, library, shapes=shapes)
        return compare(spec, library, inputs, target, shapes)


def distance(got: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance) -> float:
    """How far an output is from what it should be, in tolerances: right up to 1.

    Of integers and truth values it is enough that no more of them differ than the tolerance says.
    Infinity if the shapes or types differ, or one is not finite where the other is not the same.
    """
    if (got.shape, got.dtype) != (expected.shape, expected.dtype):
        return float("inf")
    if np.array_equal(got, expected):
        return 0.0
    whole = expected.dtype.kind in "iub"
    differ = float(np.mean(got != expected)) if whole else float("inf")
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return float("inf")
    if not np.isfinite(got[finite]).all():
        return float("inf")
    scale = float(np.abs(expected[finite]).max(initial=0.0)) or 1.0
    off = np.abs(got[finite] - expected[finite]) / scale
    error = float(off.max(initial=0.0))
    if tolerance.stepped:
        error = max(error, 4 * float(np.sqrt(np.sum(off**2) / max(off.size, 1))))
    error = min(error, differ)
    return error / tolerance.most if tolerance.most else float("inf") if error else 0.0


def how_far(got: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance, judge: str) -> str:
    """What is wrong with an output, for people: goes on after its name."""
    if got.dtype != expected.dtype:
        return f"has the type {got.dtype}, {judge} gives {expected.dtype}"
    if got.shape != expected.shape:
        return f"has the shape {list(got.shape)}, {judge} gives {list(expected.shape)}"
    a, b = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    odd = np.isfinite(a) != np.isfinite(b)
    if odd.any():
        return f"has {a[odd][0]:.3g} where {judge} has {b[odd][0]:.3g}"
    finite = np.isfinite(b)
    scale = float(np.abs(b[finite]).max(initial=0.0)) or 1.0
    off = float(np.abs(a[finite] - b[finite]).max(initial=0.0)) / scale
    return (
        f"differs by {off:.2g} of its largest value, {distance(got, expected, tolerance):.3g} "
        "times the tolerance"
    )


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
def _expected(spec: str, inputs: tuple[Any, ...]) -> tuple[str, list[NDArray[Any]]]:
    return reference.expected(spec, random_inputs(inputs))
