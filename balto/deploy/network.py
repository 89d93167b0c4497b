"""A network that ``balto tune`` made, loaded: arrays in, arrays out. Needs TVM."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from balto.data.target import Target
from balto.errors import InputError
from balto.deploy.verify import load, outputs, runs_of, time_in_turns
from balto.deploy.load import Timed, cast_inputs, load_tuned
from balto.units import seconds


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
        self._main = load(self._path, self._target)["main"]

    def __repr__(self) -> str:
        about = self.metadata["network"]
        latency = seconds(about["latency_s"])
        return f"DeployedNetwork({about['name']}, {latency} when tuned, from {self._folder})"

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

        Raises:
            InputError: inputs of other names or shapes, or that are no numbers.
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
        """Time it here and now, on random inputs."""
        inputs = self.metadata["network"]["inputs"]
        [latency_s] = time_in_turns(runs_of([self._path], inputs, self._target))
        return Timed(latency_s, self.metadata["network"]["latency_s"], self.cores)
