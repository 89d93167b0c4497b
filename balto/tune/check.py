"""Whether a compiled network computes what it should, and how long it takes. Runs in a worker.

The reference is PyTorch for built-in networks and ``.pt2`` files, and ONNX's own reference
evaluator for ONNX files.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.files import one_line
from balto.data.target import Target
from balto.errors import InputError
from balto.tasks import graphs
from balto.tune.deploy import distance, random_arrays
from balto.tune.network import Tensor
from balto.workers.tvm_setup import import_tvm

#: Seconds in which a network is run again and again to time it, and runs at least.
_TIMING_S, _RUNS = 2.0, 3
#: Softmax and LogSoftmax mean something else before this version of ONNX's operators. So does
#: Hardmax, but ONNX's converter leaves it as it is: networks with an old one are refused.
_OPERATORS = 13
#: A network slower than this is run but twice.
_SLOW_S = 5.0


def error_of_network(
    spec: str, path: Path, inputs: Sequence[Tensor], target: Target, seed: int = 0
) -> float:
    """How far a library is from the reference on random inputs, in tolerances: right up to 1.

    Args:
        spec: network or model file.
        path: of the library.
        inputs: of the network.
        target: of the library.
        seed: of the inputs.
    """
    arrays = _random(inputs, seed)
    expected = _reference(spec, tuple((n, tuple(s), d) for n, s, d in inputs), seed)
    with tempfile.TemporaryDirectory(prefix="balto-") as folder:
        # A process that loads a path again gets what was there the first time.
        copy = Path(shutil.copy(path, folder))
        got = outputs(load(copy, target)["main"], arrays)
    if len(got) != len(expected):
        return float("inf")
    return max(distance(a, b) for a, b in zip(got, expected, strict=True))


def time_in_turns(paths: Sequence[Path], inputs: Sequence[Tensor], target: Target) -> list[float]:
    """Median seconds of a run of each library, run in turns.

    Args:
        paths: of libraries of the same network.
        inputs: of the network.
        target: of the libraries; its number of cores is the number of threads.
    """
    tvm = import_tvm(target)
    arrays = [tvm.runtime.tensor(each) for each in _random(inputs, 0)]
    mains = [load(path, target)["main"] for path in paths]
    taken: list[list[float]] = [[_seconds(main, arrays)] for main in mains]
    ended = [seconds[0] > _SLOW_S for seconds in taken]
    for seconds, slow in zip(taken, ended, strict=True):
        if not slow:
            seconds.clear()  # the first run warms up
    until = time.monotonic() + _TIMING_S * len(paths)
    while not all(ended) or any(len(seconds) < 2 for seconds in taken):
        for k, main in enumerate(mains):
            if not ended[k] or len(taken[k]) < 2:
                taken[k].append(_seconds(main, arrays))
            ended[k] = ended[k] or (len(taken[k]) >= _RUNS and time.monotonic() > until)
    return [float(np.median(seconds)) for seconds in taken]


def load(path: Path, target: Target) -> Any:
    """TVM's virtual machine of a library, with as many threads as the target has cores."""
    tvm = import_tvm(target)
    from tvm import relax

    tvm.get_global_func("runtime.config_threadpool")(1, target.cores or 1)
    return relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())


def outputs(main: Any, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What a network's ``main`` computes: arrays in, arrays out, tuples flattened."""
    import tvm

    def flat(value: Any) -> list[NDArray[Any]]:
        if hasattr(value, "numpy"):
            return [value.numpy()]
        return [leaf for each in value for leaf in flat(each)]

    return flat(main(*(tvm.runtime.tensor(each) for each in arrays)))


def _random(inputs: Sequence[Tensor], seed: int) -> list[NDArray[Any]]:
    return random_arrays([*((s, d) for _, s, d in inputs), ([], "float32")], seed)[:-1]


def _seconds(main: Any, arrays: Sequence[Any]) -> float:
    began = time.perf_counter()
    main(*arrays)
    return time.perf_counter() - began


@functools.lru_cache(maxsize=2)
def _reference(spec: str, inputs: tuple[Any, ...], seed: int) -> list[NDArray[Any]]:
    arrays = _random(inputs, seed)
    if graphs.suffix(spec) == ".onnx":
        from onnx.reference import ReferenceEvaluator

        model = _as_evaluated(graphs.onnx_model(spec), spec)
        names = [each.name for each in model.graph.input]
        evaluator = ReferenceEvaluator(model)
        return [
            np.asarray(each) for each in evaluator.run(None, dict(zip(names, arrays, strict=True)))
        ]
    import torch
    from torch.utils import _pytree

    with torch.no_grad():
        module = graphs.exported_program(spec).module()
        got = module(*(torch.from_numpy(each) for each in arrays))
    return [each.numpy() for each in _pytree.tree_leaves(got)]


def _as_evaluated(model: Any, spec: str) -> Any:
    """A model whose operators the reference evaluator reads as they are meant.

    It has one softmax for all versions, that of 13: along one axis. Before, a softmax was over all
    axes from the given one on.

    Raises:
        InputError: ONNX cannot convert the model.
    """
    version = next(
        (each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), _OPERATORS
    )
    if version >= _OPERATORS:
        return model
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, _OPERATORS)
    except Exception as error:
        raise InputError(
            f"ONNX cannot convert {spec} from version {version} of its operators to {_OPERATORS}, "
            f"which its reference evaluator needs: {one_line(error)}; export it for {_OPERATORS}"
        ) from error
