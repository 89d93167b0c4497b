"""`load_tuned`: what a tuning made, ready to run. Needs TVM, and no more of balto than this."""

from __future__ import annotations

import json
import math
import os
import platform
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balto.arguments import check_number
from balto.data.files import as_path, read_json, reading, sha256
from balto.data.plausible import shape_problem
from balto.data.target import Target
from balto.deploy.database import check_database
from balto.deploy.machine import library, load, outputs, runs_of, time_in_turns
from balto.deploy.operators import processor_of
from balto.errors import InputError
from balto.measure.execute import device_of
from balto.text import quoted
from balto.units import seconds
from balto.workers.tvm_setup import import_tvm, use_cores

#: Says what is in a folder that was tuned.
METADATA = "tuned.json"
#: Version of what it says.
FORMAT = 2


@dataclass(frozen=True)
class Timed:
    """What `benchmark` found.

    Attributes:
        latency_s: median over the repeats, seconds.
        tuned_s: the same when it was tuned; NaN if it was not measured then.
        cores: that it ran on.
    """

    latency_s: float
    tuned_s: float
    cores: int


class Tuned:
    """Tuned operators, loaded. Make it by `load_tuned`.

    Loading sets the number of threads of TVM's pool in this process to what was tuned for.

    Attributes:
        metadata: what the folder says: target, arguments, latencies, versions.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]) -> None:
        self._folder, self.metadata = folder.resolve(), metadata
        self._target = Target.from_dict(metadata["target"])
        self._tvm = import_tvm(self._target)
        use_cores(self.cores)
        self._modules = {
            name: library(folder / each["library"], self._target, each["sha256"])
            for name, each in metadata["operators"].items()
        }

    def __repr__(self) -> str:
        return f"Tuned({', '.join(self.operators)}, from {self._folder})"

    def __reduce__(self) -> tuple[Any, ...]:
        return load_tuned, (self._folder,)  # a copy, or another process, loads it again

    @property
    def cores(self) -> int:
        """How many it was tuned for, and runs on."""
        return self._target.cores or 1

    @property
    def operators(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._modules)

    def run(self, inputs: Sequence[ArrayLike], operator: str | None = None) -> NDArray[Any]:
        """Compute an operator: arrays in, array out.

        Args:
            inputs: in the operator's order, of its shapes; cast to its types.
            operator: its name; may be left out if there is one.

        Returns:
            The operator's output.

        Raises:
            InputError: If there is no such operator, or inputs have other shapes or are no numbers.
        """
        name = self._name(operator)
        arguments = self.metadata["operators"][name]["arguments"]
        cast = cast_inputs(inputs, [(tuple(shape), dtype) for shape, dtype in arguments[:-1]])
        shape, dtype = arguments[-1]
        tensors = [self._tensor(each) for each in [*cast, np.zeros(shape, dtype)]]
        self._modules[name]["main"](*tensors)
        result: NDArray[Any] = tensors[-1].numpy()
        return result

    def benchmark(self, operator: str | None = None, repeats: int = 10) -> Timed:
        """Time an operator here and now.

        Args:
            operator: its name; may be left out if there is one.
            repeats: how often it is timed.

        Returns:
            Seconds of one run, and their spread.

        Raises:
            InputError: If there is no such operator, or `repeats` is no number of at least 1.
        """
        check_number("repeats", repeats, 1, whole=True)
        name = self._name(operator)
        about = self.metadata["operators"][name]
        rng = np.random.default_rng(0)
        tensors = [
            self._tensor(rng.random(shape).astype(dtype)) for shape, dtype in about["arguments"]
        ]
        timed = partial(self._modules[name].time_evaluator, "main", self._device())
        tuned_s = _seconds(about["latency_s"])
        expected_s = tuned_s if math.isfinite(tuned_s) else timed(number=1)(*tensors).mean
        number = max(1, math.ceil(0.003 / expected_s))
        seconds = float(np.median(timed(number=number, repeat=repeats)(*tensors).results))
        return Timed(seconds, tuned_s, self.cores)

    def _device(self) -> Any:
        return self._tvm.device(device_of(self._target))

    def _tensor(self, array: NDArray[Any]) -> Any:
        return self._tvm.runtime.tensor(array, self._device())

    def _name(self, operator: str | None) -> str:
        if operator is None and len(self.operators) == 1:
            return self.operators[0]
        if operator not in self.operators:
            raise InputError(f"expected one of {', '.join(self.operators)}, got {operator}")
        return operator


def cast_inputs(
    inputs: Sequence[ArrayLike], expected: Sequence[tuple[tuple[int, ...], str]]
) -> list[NDArray[Any]]:
    """Arrays of the types that a program takes.

    Args:
        inputs: arrays, or what NumPy makes arrays of.
        expected: shape and type of each.

    Raises:
        InputError: others, or none.
    """
    try:
        arrays = [np.asarray(each) for each in inputs]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"expected a list of arrays, got {quoted(inputs)}: {error}") from error
    shapes = [shape for shape, _ in expected]
    if [each.shape for each in arrays] != shapes:
        raise InputError(
            f"expected a list of inputs of shapes {shapes}, got {[each.shape for each in arrays]}"
        )
    cast = []
    for array, (_, dtype) in zip(arrays, expected, strict=True):
        if array.dtype.kind in "cOSUMm":  # complex, objects, texts, dates
            raise InputError(f"expected numbers for an input of {dtype}, got {array.dtype}")
        cast.append(array.astype(dtype))
    return cast


def load_tuned(folder: str | Path) -> Tuned | DeployedNetwork:
    """Load what ``balto tune`` made: operators, or a network. Imports TVM in this process.

    Args:
        folder: the one that was tuned into, ``tuned`` by default.

    Returns:
        A `Tuned` of operators, or a `DeployedNetwork`.

    Raises:
        InputError: If there is nothing tuned in the folder, it is damaged, another balto tuned it,
            or it is for another kind of processor.

    Examples:
        >>> import numpy as np
        >>> tuned = balto.tune_operators(["matmul:32x32x32"], "tuned", trials=4)
        >>> a = b = np.eye(32, dtype="float32")
        >>> bool((balto.load_tuned("tuned").run([a, b]) == a).all())
        True
    """
    folder = as_path(folder)
    metadata = read_metadata(folder)
    _require_processor(folder, Target.from_dict(metadata["target"]))
    if "network" in metadata:
        return DeployedNetwork(folder, metadata)
    return Tuned(folder, metadata)


def _require_processor(folder: Path, target: Target) -> None:
    """Refuse what the linker or the processor would.

    Raises:
        InputError: If the folder was tuned for another kind of processor.
    """
    if processor_of(target) != platform.machine():
        raise InputError(
            f"{folder} was tuned for {processor_of(target)}, this machine is "
            f"{platform.machine()}: load it on a machine like that"
        )


def read_metadata(folder: Path) -> dict[str, Any]:
    """What `balto tune` wrote last into a folder; all that it names is checked. Needs no TVM.

    A folder without a database is read: programs run without it.

    Raises:
        InputError: as `load_tuned`.
    """
    advice = f"run the same balto tune again, which measures nothing twice, to finish {folder}"
    with reading(folder / METADATA, InputError, advice):
        layout = json.loads((folder / METADATA).read_bytes())["format"]
        if layout != FORMAT:
            raise InputError(
                f"{folder / METADATA} has format {layout}, this balto reads {FORMAT}: tune again"
            )
        metadata = read_json(folder / METADATA)
        network = [metadata["network"]] if "network" in metadata else []
        programs = [*metadata["operators"].values(), *network]
        shapes = [shape for each in programs for shape, _ in each.get("arguments", ())]
        shapes += [shape for each in programs for _, shape, _ in each.get("inputs", ())]
        if problem := next(filter(None, map(shape_problem, shapes)), ""):
            raise InputError(f"{folder / METADATA}: {problem}; {advice}")
    for each in programs:
        path = folder / each["library"]
        with reading(path, InputError, advice):
            if sha256(path) != each["sha256"]:
                raise ValueError("its checksum does not match")
    check_database(folder, metadata, advice)
    return metadata


class DeployedNetwork:
    """A tuned network, loaded. `balto.load_tuned` makes it.

    Loading sets the number of threads of TVM's pool in this process to what was tuned for, and
    warns if this process may use fewer cores.

    Attributes:
        metadata: what the folder says: target, inputs, outputs, tasks, latencies, versions.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]) -> None:
        self._folder, self.metadata = folder.resolve(), metadata
        self._running = threading.Lock()  # TVM's virtual machine runs one call at a time
        self._target = Target.from_dict(metadata["target"])
        self._path = folder / metadata["network"]["library"]
        have = len(os.sched_getaffinity(0))
        if have < self.cores:
            warnings.warn(
                f"{folder} was tuned for {self.cores} cores, this process may use {have}",
                RuntimeWarning,
                stacklevel=3,
            )
        self._main = load(self._path, self._target, metadata["network"]["sha256"])["main"]

    def __repr__(self) -> str:
        about = self.metadata["network"]
        latency_s = _seconds(about["latency_s"])
        told = f"{seconds(latency_s)} when tuned" if math.isfinite(latency_s) else "not timed"
        return f"DeployedNetwork({about['name']}, {told}, from {self._folder})"

    def __reduce__(self) -> tuple[Any, ...]:
        return load_tuned, (self._folder,)  # a copy, or another process, loads it again

    @property
    def cores(self) -> int:
        """How many it was tuned for, and runs on."""
        return self._target.cores or 1

    @property
    def inputs(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Name, shape and type of each."""
        return [(n, tuple(s), d) for n, s, d in self.metadata["network"]["inputs"]]

    def run(self, inputs: Sequence[ArrayLike] | Mapping[str, ArrayLike]) -> list[NDArray[Any]]:
        """Compute the network: arrays in, arrays out. Calls of several threads take turns.

        Args:
            inputs: in the network's order, or by name; of its shapes, cast to its types.

        Returns:
            Its outputs, in the network's order.

        Raises:
            InputError: If inputs have other names or shapes, or are no numbers.
        """
        names = [name for name, _, _ in self.inputs]
        if isinstance(inputs, Mapping):
            if set(inputs) != set(names):
                raise InputError(f"expected inputs {', '.join(names)}, got {', '.join(inputs)}")
            inputs = [inputs[name] for name in names]
        cast = cast_inputs(inputs, [(shape, dtype) for _, shape, dtype in self.inputs])
        with self._running:
            return outputs(self._main, cast, self._target)

    def benchmark(self) -> Timed:
        """Time it here and now, on random inputs.

        Returns:
            Seconds of one run, and their spread.
        """
        inputs = self.metadata["network"]["inputs"]
        [latency_s] = time_in_turns(runs_of([self._path], inputs, self._target))
        return Timed(latency_s, _seconds(self.metadata["network"]["latency_s"]), self.cores)


def _seconds(known: float | None) -> float:
    """Seconds as a folder says them; NaN for null."""
    return math.nan if known is None else known
