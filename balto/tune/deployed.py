"""A network that ``balto tune`` made, loaded: arrays in, arrays out. Needs TVM."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balto.data.target import Target
from balto.errors import InputError
from balto.tune.check import load, outputs, runs_of, time_in_turns
from balto.tune.tuned import Timed


class DeployedNetwork:
    """A tuned network, loaded. `balto.load_tuned` makes it.

    Loading sets the number of threads of TVM's pool in this process to what was tuned for, and
    warns if this process may use fewer cores.

    Attributes:
        metadata: what the folder says: target, inputs, outputs, tasks, latencies, versions.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]) -> None:
        self.metadata = metadata
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

    @property
    def cores(self) -> int:
        """How many it was tuned for, and runs on."""
        return self._target.cores or 1

    @property
    def inputs(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Name, shape and type of each."""
        return [(n, tuple(s), d) for n, s, d in self.metadata["network"]["inputs"]]

    def run(self, inputs: Sequence[ArrayLike] | Mapping[str, ArrayLike]) -> list[NDArray[Any]]:
        """Compute the network: arrays in, arrays out.

        Args:
            inputs: in the network's order, or by name; of its shapes, cast to its types.

        Raises:
            InputError: inputs of other names or shapes.
        """
        names = [name for name, _, _ in self.inputs]
        if isinstance(inputs, Mapping):
            if set(inputs) != set(names):
                raise InputError(f"expected inputs {', '.join(names)}, got {', '.join(inputs)}")
            inputs = [inputs[name] for name in names]
        arrays = [np.asarray(each) for each in inputs]
        expected = [shape for _, shape, _ in self.inputs]
        if [each.shape for each in arrays] != expected:
            raise InputError(
                f"expected inputs of shapes {expected}, got {[each.shape for each in arrays]}"
            )
        cast = [a.astype(dtype) for a, (_, _, dtype) in zip(arrays, self.inputs, strict=True)]
        return outputs(self._main, cast, self._target)

    def benchmark(self) -> Timed:
        """Time it here and now, on random inputs."""
        inputs = self.metadata["network"]["inputs"]
        [seconds] = time_in_turns(runs_of([self._path], inputs, self._target))
        return Timed(seconds, self.metadata["network"]["latency_s"], self.cores)
